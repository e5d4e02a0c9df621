import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isCoded } from '../base/errors.ts'
import { NodePrivate } from '../crypto/keys.ts'
import { answerProfiles } from './local-profiles.ts'
import { isOtherAccount, profileNamed, profileViews } from './profiles.ts'
import { type AgentState, newState, type Profile, withoutProfile, withProfile } from './state-file.ts'

const profile = (id: string, more: Partial<Profile> = {}): Profile => ({
  id,
  serverUrl: 'https://coord.example:8443',
  nodeKey: NodePrivate.generate(),
  oldNodeKey: undefined,
  lockSeed: new Uint8Array(32),
  hostname: undefined,
  loginName: undefined,
  tailnetName: undefined,
  ...more,
})

const home = profile('aaaa', { serverUrl: 'http://127.0.0.1:8480', loginName: 'anna', tailnetName: 'home' })
const work = profile('bbbb', { loginName: 'anna@work.example', tailnetName: 'work' })
const other = profile('cccc', { loginName: 'ben@work.example', tailnetName: 'work' })
const state: AgentState = [home, work, other].reduce(withProfile, newState())

const ids = ({ profiles }: AgentState): string[] => profiles.map(({ id }) => id)

test('a network is meant by its id, its name, its account or its server', () => {
  for (const [word, id] of [
    ['aaaa', 'aaaa'],
    ['Home', 'aaaa'],
    ['anna', 'aaaa'],
    ['anna@home', 'aaaa'],
    ['127.0.0.1:8480', 'aaaa'],
    ['anna@work.example', 'bbbb'],
    ['ben@work.example@work', 'cccc'],
  ] as const)
    assert.equal(profileNamed(word, state).id, id, word)
  for (const [word, code] of [
    ['work', 'agent/many-profiles'],
    ['https://coord.example:8443', 'agent/many-profiles'],
    ['nowhere', 'agent/no-profile'],
  ] as const)
    assert.throws(
      () => profileNamed(word, state),
      (error) => isCoded(error, code),
      word,
    )
})

test('the same account of the same network is there once, others stay', () => {
  const again = withProfile(state, profile('dddd', { loginName: 'ben@work.example', tailnetName: 'work' }))
  assert.deepEqual(ids(again), ['aaaa', 'bbbb', 'dddd'], 'in its place')
  assert.equal(again.currentProfile, 'dddd')
  assert.deepEqual(ids(withProfile(state, profile('eeee'))), ['aaaa', 'bbbb', 'cccc', 'eeee'], 'not known yet whose')
})

test('a new login is another account only where both are known and the key is new', () => {
  const nodeKey = NodePrivate.generate()
  assert.ok(isOtherAccount(home, { ...home, nodeKey, loginName: 'ben' }))
  for (const now of [
    { ...home, loginName: 'anna.m' },
    { ...home, nodeKey },
    { ...home, nodeKey, loginName: undefined },
    { ...home, nodeKey, loginName: '' },
    { ...home, nodeKey, loginName: 'ben', id: 'dddd' },
  ])
    assert.ok(!isOtherAccount(home, now))
  assert.ok(!isOtherAccount({ ...home, nodeKey: undefined }, { ...home, nodeKey, loginName: 'ben' }), 'logged out')
})

test('a network that is forgotten leaves another current, and off', () => {
  const left = withoutProfile({ ...state, wantRunning: true }, 'cccc')
  assert.deepEqual([ids(left), left.currentProfile, left.wantRunning], [['aaaa', 'bbbb'], 'aaaa', false])
  const beside = withoutProfile({ ...state, wantRunning: true }, 'aaaa')
  assert.deepEqual([beside.currentProfile, beside.wantRunning], ['cccc', true])
  assert.equal(withoutProfile(withProfile(newState(), home), 'aaaa').currentProfile, undefined)
})

test('a stock command line lists, switches and removes', async () => {
  const asked: string[] = []
  const act =
    (what: string) =>
    async ({ profile }: { readonly profile: string }): Promise<void> => {
      asked.push(`${what} ${profileNamed(profile, state).id}`)
    }
  const handlers = { 'agent.switch': act('switch'), 'agent.removeProfile': act('remove') }
  const ask = (method: string, path: string) => answerProfiles(method, path, profileViews(state), handlers)
  const list = (await ask('GET', '/localapi/v0/profiles/'))?.body as { ID: string; Name: string }[]
  assert.deepEqual(
    list.map(({ ID, Name }) => `${ID} ${Name}`),
    ['aaaa anna', 'bbbb anna@work.example', 'cccc ben@work.example'],
  )
  const current = (await ask('GET', '/localapi/v0/profiles/current'))?.body as { ID: string } | undefined
  assert.equal(current?.ID, 'cccc')
  assert.equal((await ask('POST', '/localapi/v0/profiles/aaaa'))?.status, 204)
  assert.equal((await ask('DELETE', '/localapi/v0/profiles/bbbb'))?.status, 204)
  assert.deepEqual(asked, ['switch aaaa', 'remove bbbb'])
  for (const [method, path, status] of [
    ['GET', '/localapi/v0/profiles/zzzz', 404],
    ['POST', '/localapi/v0/profiles/zzzz', 404],
    ['POST', '/localapi/v0/profiles/%E0%A4%A', 405],
    ['PUT', '/localapi/v0/profiles/', 405],
  ] as const)
    assert.equal((await ask(method, path))?.status, status, `${method} ${path}`)
  assert.equal(await ask('GET', '/localapi/v0/prefs'), undefined)
})
