import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { codeOf } from '../base/errors.ts'
import { silentLogger } from '../base/log.ts'
import { DiscoPrivate, NodePrivate } from '../crypto/keys.ts'
import { loadAddon } from '../dataplane/addon.ts'
import { FakeRelayForwarder } from '../dataplane/fake-relay-forwarder.ts'
import { openRelayForwarder } from '../dataplane/native-relay-forwarder.ts'
import type { RelayForwarder } from '../dataplane/relay-forwarder.ts'
import { RelayService } from '../relay/relay-service.ts'
import { testRelay, type RelayTestParts } from './relay-test.ts'

function serviceOf(sockets: RelayForwarder, endpoints: readonly string[] = []): RelayService {
  return new RelayService({
    sockets,
    clock: systemClock,
    log: silentLogger,
    staticEndpoints: endpoints,
    bytesPerSecond: 0,
    localAddresses: () => ['127.0.0.1'],
    stunServers: () => Promise.resolve([]),
    extraEndpoints: () => [],
    endpointsOf: () => [],
    onEndpoints: () => {},
    onKnock: () => {},
    onFatal: () => {},
  })
}

const parts = (service: RelayService | undefined): RelayTestParts => ({
  clock: systemClock,
  service,
  problem: undefined,
  pause: undefined,
  discoKey: DiscoPrivate.generate(),
  self: NodePrivate.generate().public,
  peers: [],
  mayAsk: () => true,
  sendOverDerp: () => {},
  ownEndpoints: () => [],
  onKnock: () => () => {},
})

const results = ({ steps }: Awaited<ReturnType<typeof testRelay>>): Record<string, string> =>
  Object.fromEntries(steps.map(({ name, result }) => [name, result]))

/** An addon that exists but does not load is a failure, not a reason to skip. */
function addonMissing(): string | undefined {
  try {
    loadAddon()
    return undefined
  } catch (error) {
    return codeOf(error) === 'dataplane/no-addon' ? 'the addon is not built (npm run setup)' : undefined
  }
}

test('without a relay that is the failing step', async () => {
  assert.equal((await testRelay(parts(undefined))).failing, 'relaying')
})

test('a relay that pauses is not tested, and says why', async () => {
  const service = serviceOf(new FakeRelayForwarder())
  const found = await testRelay({ ...parts(service), pause: 'battery' })
  service.close()
  assert.equal(found.failing, 'relaying')
  assert.match(found.steps[0]?.text ?? '', /^The relay pauses: this machine runs on battery/)
})

test('a port that nobody serves fails at the handshake', async () => {
  const service = serviceOf(new FakeRelayForwarder(1), ['192.0.2.1:7'])
  const found = await testRelay(parts(service))
  service.close()
  assert.deepEqual(
    [found.failing, results(found)['policy'], results(found)['address']],
    ['handshake', 'untested', 'ok'],
  )
})

test(
  'two clients bind at the real forwarding loop and reach each other',
  { skip: addonMissing() ?? false },
  async () => {
    const service = serviceOf(openRelayForwarder({ udpPort: 0, firewallMark: 0 }))
    const found = await testRelay(parts(service))
    const left = service.status().sessions
    service.close()
    assert.deepEqual(
      [results(found)['handshake'], results(found)['traffic'], left],
      ['ok', 'ok', []],
      JSON.stringify(found),
    )
    assert.match(found.steps.find(({ name }) => name === 'traffic')?.text ?? '', /^200 of 200 /)
    assert.equal(results(found)['capacity'], 'untested')
  },
)
