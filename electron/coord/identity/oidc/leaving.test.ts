// A whole organisation leaves a provider: who depends on it, a date, links, undo; and nobody's machine notices.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestMachine } from '../../test-machine.ts'
import { Browser, PASSWORD } from '../test-site.ts'
import { comeBack, goAndComeBack, KARIN, leave, nameIn, newBrowser, oidcSite, refusalIn } from './test-oidc-site.ts'

const DAY_MS = 24 * 3_600_000
const OTTO = { ...KARIN, sub: 'o-1', email: 'otto@corp.example', name: 'Otto' }

test('leaving by a date: told, helped, cut off, and every machine as it was', async (t) => {
  const its = await oidcSite(t)
  const { coord, provider, clock } = its
  const { oidc } = coord.admin
  const karin = await newBrowser(its)
  await goAndComeBack(karin, provider, KARIN)
  await goAndComeBack(await newBrowser(its), provider, OTTO)
  assert.equal(refusalIn(await goAndComeBack(its.browser, provider, { ...KARIN, sub: 'i-1' }, 'link')), undefined)
  const joined = async (user: string) => {
    const { key } = await coord.admin.createAuthKey({ user })
    const machine = new TestMachine(`http://127.0.0.1:${coord.port}`, `${user.split('@')[0] ?? ''}-pc`)
    t.after(() => machine.close())
    await machine.register({ auth: { authKey: key } })
    const stream = await machine.poll()
    await stream.until(({ node }) => node !== undefined)
    return stream
  }
  /** Maps are sent as the server's clock goes on. */
  const healthAt = async (
    stream: Awaited<ReturnType<typeof joined>>,
    isThis: (health: readonly string[]) => boolean,
  ) => {
    const ticking = setInterval(() => clock.advance(100), 10)
    try {
      return (await stream.until(({ health }) => health !== undefined && isThis(health))).health ?? []
    } finally {
      clearInterval(ticking)
    }
  }
  const [isWarned, isCalm] = [
    (health: readonly string[]) => health.length > 0,
    (health: readonly string[]) => health.length === 0,
  ]
  const [hers, owners] = [await joined('karin@corp.example'), await joined('ines')]
  const nodes = (await coord.admin.listNodes()).map(({ nodeKey, user, addresses }) => [nodeKey, user, addresses])

  const status = await oidc.status('corp')
  assert.deepEqual(
    status.people.map(({ user, depends, password, machines }) => [user, depends, password, machines]),
    [
      ['karin@corp.example', true, false, 1],
      ['otto@corp.example', true, false, 0],
      ['ines', false, true, 1],
    ],
  )
  await assert.rejects(oidc.remove('corp', false), /karin@corp.example and 1 more can sign in by nothing else/)
  await assert.rejects(oidc.remind('corp'), /Set a date first/)
  await assert.rejects(oidc.leave('corp', clock.wallNow() - 1), /is over/)
  await assert.rejects(oidc.leave('corp', clock.wallNow() + 800 * DAY_MS), /two years/)
  await assert.rejects(oidc.leave('none', clock.wallNow() + DAY_MS), /no provider none/)

  const atMs = clock.wallNow() + 3 * DAY_MS
  assert.equal((await oidc.leave('corp', atMs)).provider.dependents, 2)
  assert.match(
    (await healthAt(hers, isWarned)).join(),
    /^Signing in by corp ends at .*Add one at https:\/\/home\.example\.org\/account/,
  )

  await t.test('until then it signs in, counts no more as a way to keep, and can be undone', async () => {
    assert.equal(refusalIn(await goAndComeBack(await newBrowser(its), provider, KARIN)), undefined)
    const last = await its.browser.call('account/password/remove', {})
    assert.equal(last.body.code, 'login/last-way')
    assert.equal((await oidc.stay('corp')).provider.leavesAt, undefined)
    await healthAt(hers, isCalm)
    await oidc.leave('corp', atMs)
    await healthAt(hers, isWarned)
  })

  await t.test('links go to those who depend, and whoever moved is told no more', async () => {
    const links = await oidc.remind('corp')
    assert.deepEqual(
      links.map(({ user }) => user),
      ['karin@corp.example', 'otto@corp.example'],
    )
    assert.ok(links.every(({ expiresAt }) => Date.parse(expiresAt) <= atMs))
    const enrol = links[0]?.url.split('/').at(-1) ?? ''
    const browser = new Browser(its)
    await browser.open({ enrol })
    assert.equal((await browser.call('enrol/password', { enrol, password: PASSWORD })).status, 200)
    await healthAt(hers, isCalm)
    assert.deepEqual(
      (await oidc.remind('corp')).map(({ user }) => user),
      ['otto@corp.example'],
    )
    await browser.open({ account: true })
    assert.equal(
      (await browser.call('sign-in/password', { name: 'karin@corp.example', password: PASSWORD })).status,
      200,
    )
  })

  await t.test(
    'from the date on nobody signs in by it, the page says what to do, and nothing else changed',
    async () => {
      clock.advance(4 * DAY_MS)
      const browser = await newBrowser(its)
      const begun = await browser.call('oidc/begin', { provider: 'corp', purpose: 'sign-in', login: undefined })
      assert.deepEqual([begun.status, begun.body.code], [403, 'login/provider-ended'])
      assert.match(begun.body.message ?? '', /Sign in another way; without one, ask the owner/)
      const { value } = (await browser.call('state', { account: true })).body
      assert.deepEqual(value?.['providers'], [])
      assert.equal((await browser.call('sign-in/password', { name: 'ines', password: PASSWORD })).status, 200)
      assert.equal(await nameIn(browser), 'ines')
      const after = (await coord.admin.listNodes()).map(({ nodeKey, user, addresses }) => [nodeKey, user, addresses])
      assert.deepEqual(after, nodes)
      assert.ok(owners.messages.every(({ health }) => (health ?? []).length === 0))
      // Otto was late: he is let in like anybody who has no way in.
      const { url } = await coord.admin.inviteUser('otto@corp.example')
      assert.match(url, /\/enrol\//)
    },
  )

  await t.test('it goes, with who people were there; they stay', async () => {
    await oidc.remove('corp', false)
    assert.deepEqual(await oidc.list(), [])
    assert.equal((await coord.admin.listUsers()).length, 3)
    const actions = (await coord.admin.auditSince(0)).map(({ action }) => action)
    for (const action of ['oidc.leave', 'oidc.stay', 'oidc.remind', 'oidc.remove'])
      assert.ok(actions.includes(action), action)
  })
})

test('a way back that ends after the date signs nobody in', async (t) => {
  const its = await oidcSite(t)
  const { oidc } = its.coord.admin
  await goAndComeBack(await newBrowser(its), its.provider, KARIN)
  await oidc.leave('corp', its.clock.wallNow() + 60_000)
  const browser = await newBrowser(its)
  const query = await leave(browser, its.provider, KARIN)
  its.clock.advance(61_000)
  assert.equal(refusalIn(await comeBack(browser, query))?.code, 'login/provider-ended')
  assert.equal(await nameIn(browser), undefined)
})
