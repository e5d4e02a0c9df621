// Groups at a provider as names in the policy: what a person may reach follows their groups at each sign-in.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CoordServer } from '../../coord-server.ts'
import { NAME, site } from '../test-site.ts'
import { goAndComeBack, KARIN, nameIn, newBrowser, oidcSite, refusalIn } from './test-oidc-site.ts'
import { CLIENT, type Person } from './test-provider.ts'

const POLICY = `{
  "tagOwners": { "tag:db": ["group:on call@corp"] },
  "acls": [
    { "action": "accept", "src": ["group:staff@corp"], "dst": ["ines@:443"] },
    { "action": "accept", "src": ["group:on call@corp"], "dst": ["ines@:22"] },
  ],
}`

test('a policy names groups of a provider; a sign-in with other groups changes what machines are told', async (t) => {
  const its = await oidcSite(t)
  const { coord, provider } = its
  const { admin } = coord
  const signIn = async (person: Person): Promise<void> => {
    assert.equal(refusalIn(await goAndComeBack(await newBrowser(its), provider, person)), undefined)
  }
  await signIn(KARIN)
  await admin.policy.set(POLICY, 'test')
  /** The ports of ines's machine that karin's reaches, by the policy in force. */
  const reached = async ({ admin }: CoordServer = coord): Promise<readonly string[]> => {
    const { effects } = await admin.policy.diff('{"acls": []}')
    return effects.filter(({ from }) => from === 'karins').flatMap(({ loses }) => loses)
  }
  for (const [user, name] of [
    ['ines', 'iness'],
    ['karin@corp.example', 'karins'],
  ] as const) {
    const login = await its.ask(name)
    await admin.approveLogin(login, user)
  }
  assert.match((await reached()).join(' '), /\b22\b.*\b443\b|\b443\b.*\b22\b/)
  await signIn({ ...KARIN, groups: ['staff'] })
  assert.match((await reached()).join(' '), /\b443\b/)
  assert.doesNotMatch((await reached()).join(' '), /\b22\b/)
  await signIn({ ...KARIN, groups: [] })
  assert.deepEqual(await reached(), [])

  await t.test('a group of no provider there is is a mistake, as is one that nothing defines', async () => {
    await assert.rejects(
      admin.policy.set('{"acls": [{"action": "accept", "src": ["group:a@nobody"], "dst": ["*:*"]}]}', 'test'),
      /there is no provider "nobody"/,
    )
    await assert.rejects(
      admin.policy.set('{"acls": [{"action": "accept", "src": ["group:a"], "dst": ["*:*"]}]}', 'test'),
      /group:a is not defined/,
    )
  })

  await t.test('they are known after a restart, and gone with the provider', async () => {
    await signIn(KARIN)
    const again = await site(t, `https://${NAME}`, its)
    assert.notDeepEqual(await reached(again.coord), [])
    await again.coord.admin.oidc.leave('corp', its.clock.wallNow() + 1)
    its.clock.advance(2)
    await assert.rejects(again.coord.admin.oidc.remove('corp', false), /The policy names group:on call@corp/)
    await again.coord.admin.oidc.remove('corp', true)
    assert.deepEqual(await reached(again.coord), [])
  })
})

test('a secret that ran out is replaced, and whom a provider lets in is changed, with everybody staying who they are', async (t) => {
  const its = await oidcSite(t)
  const { oidc } = its.coord.admin
  await goAndComeBack(await newBrowser(its), its.provider, KARIN)
  await oidc.update('corp', { clientSecret: 'no longer the one' })
  const refused = refusalIn(await goAndComeBack(await newBrowser(its), its.provider, KARIN))
  assert.equal(refused?.code, 'login/provider-failed')
  const changed = await oidc.update('corp', {
    clientSecret: CLIENT.secret,
    label: 'The office',
    allowDomains: [],
    allowGroups: ['staff'],
  })
  assert.deepEqual([changed.label, changed.allowDomains, changed.allowGroups], ['The office', [], ['staff']])
  const browser = await newBrowser(its)
  assert.equal(refusalIn(await goAndComeBack(browser, its.provider, { ...KARIN, email_verified: false })), undefined)
  assert.equal(await nameIn(browser), 'karin@corp.example')
  await assert.rejects(oidc.update('corp', { allowEveryone: true }), /not both/)
  const entry = (await its.coord.admin.auditSince(0)).find(({ action }) => action === 'oidc.update')
  assert.equal(entry?.detail, 'clientSecret')
})
