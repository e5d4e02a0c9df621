import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeBridge, type FakeState, refuse } from '../test/e2e/fixtures/fake-bridge.ts'
import { relayTested } from '../test/e2e/fixtures/relays.ts'
import { connected, fresh, noOwn, ownRunning, profiles, shell } from '../test/e2e/fixtures/samples.ts'
import type { WindowHandlers } from '../electron/contract/calls.ts'
import type { NodeId } from '../electron/contract/snapshot.ts'
import { createActions } from './actions.ts'
import { acceptSnapshot, createUi, isFirstRun } from './store.ts'

const base: FakeState = { agent: connected, own: noOwn, shell }

/** A window over a played app, after its first answers. */
async function opened(state: FakeState = base, handlers: Partial<WindowHandlers> = {}) {
  const fake = new FakeBridge(state, handlers)
  const ui = createUi()
  const actions = createActions(ui, fake.bridge)
  actions.listen()
  await settled()
  return { fake, ui, actions }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('the newer snapshot stays, in whatever order they come', () => {
  const ui = createUi()
  const at = (revision: number) => ({ ...connected, revision })
  acceptSnapshot(ui, at(5))
  acceptSnapshot(ui, at(4))
  assert.equal(ui.getState().agent?.revision, 5)
  const seen = ui.getState()
  acceptSnapshot(ui, at(5))
  assert.equal(ui.getState(), seen, 'the same revision wakes nobody')
  acceptSnapshot(ui, at(6))
  assert.equal(ui.getState().agent?.revision, 6)
})

test('a snapshot that was told while the first question was under way is kept', async () => {
  let reply: (() => void) | undefined
  const { fake, ui } = await opened(base, {
    'agent.snapshot': () => new Promise((resolve) => (reply = () => resolve(connected))),
  })
  fake.tell({ ...connected, revision: 7, state: 'stopped' })
  reply?.()
  await settled()
  assert.equal(ui.getState().agent?.state, 'stopped')
})

test('a click shows at once, and what the agent says replaces it', async () => {
  let done: (() => void) | undefined
  const { fake, ui, actions } = await opened(base, {
    'agent.down': () => new Promise((resolve) => (done = resolve)),
  })
  const toggled = actions.toggle()
  assert.equal(ui.getState().wish, 'off')
  await settled()
  fake.agent({ state: 'stopped' })
  done?.()
  await toggled
  assert.equal(ui.getState().wish, undefined)
  assert.equal(ui.getState().agent?.state, 'stopped')
})

test('a second click while connecting cancels', async () => {
  const { fake, ui, actions } = await opened(
    { ...base, agent: { ...connected, state: 'stopped' } },
    { 'agent.up': () => new Promise(() => {}) },
  )
  void actions.toggle()
  await actions.toggle()
  assert.deepEqual(fake.asked.map(({ name }) => name).slice(-2), ['agent.up', 'agent.down'])
  assert.equal(ui.getState().wish, undefined)
})

test('a refused call is told with its code, and the wish is taken back', async () => {
  const { ui, actions } = await opened(base, { 'agent.down': refuse('agent/x', 'It failed.') })
  await actions.toggle()
  assert.deepEqual(ui.getState().failure, { code: 'agent/x', message: 'It failed.' })
  assert.equal(ui.getState().wish, undefined)
})

test('the sign-in page opens by itself once, and only when a sign-in was asked for here', async () => {
  const state = { ...base, agent: fresh }
  const { fake, actions } = await opened(state, { 'agent.up': () => Promise.resolve() })
  const opens = (): number => fake.asked.filter(({ name }) => name === 'shell.openLogin').length
  fake.agent({ loginUrl: 'https://home.example.org/login/1' })
  assert.equal(opens(), 0)
  fake.agent({ loginUrl: undefined })
  await actions.join('https://home.example.org', undefined)
  fake.agent({ loginUrl: 'https://home.example.org/login/2' })
  fake.agent({ waitingFor: 'someone to log in' })
  assert.equal(opens(), 1)
})

test('a key joins without a browser', async () => {
  const { fake, actions } = await opened({ ...base, agent: fresh }, { 'agent.up': () => Promise.resolve() })
  await actions.join('https://home.example.org', 'pwkey-1')
  fake.agent({ loginUrl: 'https://home.example.org/login/1' })
  assert.ok(!fake.asked.some(({ name }) => name === 'shell.openLogin'))
  assert.deepEqual(fake.asked.find(({ name }) => name === 'agent.up')?.arg, {
    serverUrl: 'https://home.example.org',
    authKey: 'pwkey-1',
    hostname: undefined,
    forceReauth: undefined,
    isNew: true,
  })
})

test('a join that is given up goes back to the network from before', async () => {
  const agent = { ...connected, profiles }
  const { fake, actions } = await opened({ ...base, agent })
  await actions.cancelJoin()
  assert.deepEqual(fake.asked.at(-1), { name: 'agent.switch', arg: { profile: 'a1' } })
  const { fake: first, actions: its } = await opened({ ...base, agent: fresh })
  await its.cancelJoin()
  assert.equal(first.asked.at(-1)?.name, 'agent.down')
})

test('a network that is signed out asks for a sign-in, another is changed to by its number', async () => {
  const { fake, actions } = await opened({ ...base, agent: { ...connected, profiles } })
  await actions.switchToNumber(1)
  assert.ok(!fake.asked.some(({ name }) => name === 'agent.switch'), 'the current one')
  await actions.switchToNumber(2)
  assert.deepEqual(fake.asked.at(-1), { name: 'agent.switch', arg: { profile: 'b2' } })
  await actions.switchToNumber(4)
  const { name, arg } = fake.asked.at(-1) ?? {}
  assert.deepEqual([name, (arg as { serverUrl?: string }).serverUrl], ['agent.up', 'https://old.example.net'])
  await actions.switchToNumber(9)
})

test('copying says so, and a new message replaces the old one', async () => {
  const { ui, actions } = await opened()
  await actions.copy('100.64.0.2')
  const first = ui.getState().toast
  assert.equal(first?.text, '100.64.0.2 copied')
  await actions.copy('pwkey-secret', 'Key')
  assert.equal(ui.getState().toast?.text, 'Key copied')
  actions.endToast(first?.number ?? 0)
  assert.equal(ui.getState().toast?.text, 'Key copied', 'the end of the first does not take the second away')
})

test('an agent that did not start is told, and the next try may succeed', async () => {
  let isBroken = true
  const { ui, actions } = await opened(base, {
    'agent.snapshot': () =>
      isBroken ? refuse('agent/state-damaged', 'The state is damaged.')() : Promise.resolve(connected),
  })
  assert.equal(ui.getState().failure?.code, 'agent/state-damaged')
  assert.equal(ui.getState().agent, undefined)
  isBroken = false
  await actions.refresh()
  assert.equal(ui.getState().agent?.state, 'running')
  assert.equal(ui.getState().failure, undefined)
})

test('the two choices are shown only before anything was joined', async () => {
  const { ui } = await opened({ ...base, agent: fresh })
  assert.ok(isFirstRun(ui.getState()))
  assert.ok(!isFirstRun({ ...ui.getState(), agent: { ...connected, state: 'needs-login' } }))
  assert.ok(!isFirstRun({ ...ui.getState(), agent: { ...fresh, state: 'starting' } }))
})

test('the tray opens a machine’s page, and the own network’s news arrive', async () => {
  const { fake, ui } = await opened()
  fake.openPage({ name: 'peer', id: 'nnas' as NodeId })
  assert.deepEqual(ui.getState().page, { name: 'peer', id: 'nnas' })
  fake.own(ownRunning)
  assert.equal(ui.getState().own?.state, 'running')
})

test('a self-test of the relay is told with its time, and does not outlive the relay', async () => {
  const { ui, actions } = await opened(base, { 'agent.relayTest': () => Promise.resolve(relayTested) })
  const running = actions.testRelay()
  assert.equal(ui.getState().relayTest.isBusy, true)
  await running
  const { isBusy, view } = ui.getState().relayTest
  assert.deepEqual([isBusy, view], [false, relayTested])
  await actions.setRelay(false)
  assert.equal(ui.getState().relayTest.view, undefined)
})

test('turning the relay on changes nothing else of it', async () => {
  const { fake, actions } = await opened(base)
  await actions.setRelay(true)
  await actions.setRelayLimit(250_000)
  const sets = fake.asked.filter(({ name }) => name === 'agent.set').map(({ arg }) => JSON.parse(JSON.stringify(arg)))
  assert.deepEqual(sets, [{ relayServer: { port: 0 } }, { relayLimitBytesPerSecond: 250_000 }])
})
