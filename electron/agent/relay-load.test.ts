// The relay under load and under attack, with real sockets and the real forwarding loop. The long form, with a thousand
// machines, is test/bench/relay-crowd.ts.

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { codeOf } from '../base/errors.ts'
import { DiscoPrivate, NodePrivate } from '../crypto/keys.ts'
import { loadAddon } from '../dataplane/addon.ts'
import { RELAY_LIMITS } from '../relay/relay-server.ts'
import type { RelayService } from '../relay/relay-service.ts'
import { bindBoth, carry, crowd, flood, Machine, openRelay, pause, place } from '../../test/bench/relay-crowd.ts'

/** An addon that exists but does not load is a failure, not a reason to skip. */
function addonMissing(): string | undefined {
  try {
    loadAddon()
    return undefined
  } catch (error) {
    return codeOf(error) === 'dataplane/no-addon' ? 'the addon is not built (npm run setup)' : undefined
  }
}

const options = { skip: addonMissing() ?? false, timeout: 60_000 }

async function scene(t: TestContext, count: number): Promise<{ service: RelayService; machines: readonly Machine[] }> {
  const service = openRelay()
  const machines = await Promise.all(
    Array.from({ length: count }, (_, index) => Machine.at(index, service.status().ports.v4)),
  )
  t.after(() => {
    for (const machine of machines) machine.close()
    service.close()
  })
  return { service, machines }
}

test('a hub and everyone it is reached by meet at one relay, each pair by itself', options, async (t) => {
  const { service, machines } = await scene(t, 200)
  const found = await crowd(service, machines)
  assert.deepEqual([found.pairs.length, found.refused, found.vnis], [199, 0, 199])
  assert.equal(found.bound, 199)
  const { sent, arrived } = await carry(found.pairs, 5)
  assert.ok(arrived > 0.98 * sent, `${arrived} of ${sent}`)
  const strays = machines.slice(1).reduce((sum, machine) => sum + machine.arrived.size, 0)
  assert.equal(strays, 0, 'nothing came to whom it was not meant for')
  t.diagnostic(`${found.allocateMicroseconds.toFixed(0)} µs for a place, bound in ${found.bindSeconds.toFixed(1)} s`)
})

test('pairs are carried, and new ones bind, while others flood the relay', options, async (t) => {
  const { service, machines } = await scene(t, 60)
  const found = await crowd(service, machines.slice(0, 20))
  const vnis = found.pairs.map(({ relay }) => relay.vni)
  const attack = flood(machines.slice(20, 50), vnis, 8)
  await pause(100)
  const { sent, arrived } = await carry(found.pairs, 25)
  const [late, other] = [machines[50], machines[51]]
  assert.ok(late && other)
  const pair = place(service, late, other)
  assert.ok(pair && (await bindBoth(pair)))
  await pause(50)
  assert.equal(service.openPairs, 20)
  const hostile = await attack.stop()
  assert.ok(arrived > 0.95 * sent, `${arrived} of ${sent} under ${hostile} hostile packets`)
  const { totals } = service.status()
  const refused = Object.entries(totals).filter(([name]) => name.startsWith('rx.') || name.startsWith('refused.'))
  const counted = refused.reduce((sum, [, count]) => sum + count, 0)
  t.diagnostic(`${hostile} hostile packets, ${counted} counted as such: ${JSON.stringify(Object.fromEntries(refused))}`)
  assert.ok(counted > 0.5 * hostile)
  assert.equal(totals['rx.error'], 0)
})

test('greedy members get what the limits allow, in memory and time that are bounded', options, async (t) => {
  const { service, machines } = await scene(t, 2)
  const [a, b] = machines
  assert.ok(a && b)
  const carried = place(service, a, b)
  assert.ok(carried && (await bindBoth(carried)))
  await pause(50)
  const members = Array.from({ length: 400 }, () => ({
    node: NodePrivate.generate().public,
    disco: DiscoPrivate.generate().public,
  }))
  // The others of their pairs need no real keys: the relay computes nothing from them before they bind.
  const others = Array.from({ length: 60 }, () => DiscoPrivate.generate().public)
  const heapOf = (): number => process.memoryUsage().heapUsed
  const before = heapOf()
  const startedMs = performance.now()
  let asked = 0
  for (const { node, disco } of members)
    for (const other of others) {
      service.allocate(node, disco, { clientDisco: [disco, other], generation: 1 })
      asked += 1
    }
  const tookMs = performance.now() - startedMs
  const status = service.status()
  const grown = (heapOf() - before) / 1e6
  t.diagnostic(`${asked} requests in ${tookMs.toFixed(0)} ms, ${service.places} places, ${grown.toFixed(0)} MB`)
  assert.ok(service.places <= RELAY_LIMITS.sessions && asked === 24_000)
  assert.ok(service.places > 15_000, 'a burst of fifty each is allowed')
  assert.ok((status.totals['refused.too-many-requests'] ?? 0) > 0)
  assert.ok(grown < 120, `${grown} MB`)
  assert.ok(tookMs < 10_000)
  assert.ok(status.sessions.length <= 1_000, 'a status stays small')
  assert.equal(status.totals['sessions.open'], 1)
  const { sent, arrived } = await carry([carried], 20)
  assert.equal(arrived, sent)
})
