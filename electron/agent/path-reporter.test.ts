import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VirtualClock } from '../base/clock.ts'
import { silentLogger } from '../base/log.ts'
import { applyMapResponse, firstMapResponse, type Netmap } from '../control/netmap.ts'
import { NodePrivate } from '../crypto/keys.ts'
import type { PathView } from '../path/path-view.ts'
import {
  CAP_PATH_REPORT,
  MAX_REPORTED_PEERS,
  type PathReportAnswer,
  type PathReportInput,
} from '../wire/path-report.ts'
import { mapResponse } from '../wire/tailcfg/map-response.ts'
import type { NodeInput } from '../wire/tailcfg/node.ts'
import { readMessage } from '../wire/tailcfg/schema.ts'
import { PathReporter } from './path-reporter.ts'

const key = NodePrivate.generate().public
const nodeOf = (id: number, more: NodeInput = {}): NodeInput => ({
  id: String(id),
  stableId: `n${id}`,
  name: `node-${id}.example.`,
  key: NodePrivate.generate().public,
  addresses: [`100.64.0.${id % 250}/32`],
  ...more,
})

function netmapOf(peers: readonly NodeInput[], asks = true): Netmap {
  const self = nodeOf(999, { key, capMap: new Map(asks ? [[CAP_PATH_REPORT, []]] : []) })
  return firstMapResponse(undefined, readMessage(mapResponse, mapResponse.write({ node: self, peers })), 0)
}

const view = (kind: PathView['kind'], latencyMs?: number, more: Partial<PathView> = {}): PathView => ({
  kind,
  ...(latencyMs !== undefined && { latencyMs }),
  sinceWallMs: 0,
  reason: 'start',
  reasonText: '',
  active: true,
  trusted: false,
  ...more,
})

function setUp(answers: readonly (PathReportAnswer | Error)[] = []) {
  const clock = new VirtualClock()
  const sent: { readonly atS: number; readonly report: PathReportInput }[] = []
  const pinged: string[] = []
  const carried = new Map<string, number>()
  const startMs = clock.now()
  const reporter = new PathReporter({
    clock,
    log: silentLogger,
    random: () => 0,
    send: async (report) => {
      sent.push({ atS: Math.round((clock.now() - startMs) / 1000), report })
      const answer = answers[sent.length - 1] ?? { afterSeconds: 180, measure: [] }
      if (answer instanceof Error) throw answer
      return answer
    },
    ping: async (nodeKey) => pinged.push(nodeKey),
    carried: () => new Map(carried),
  })
  const pass = async (seconds: number): Promise<void> => {
    for (let i = 0; i < seconds; i++) {
      clock.advance(1_000)
      for (let turn = 0; turn < 20; turn++) await Promise.resolve()
    }
  }
  return { reporter, sent, pinged, carried, pass, times: () => sent.map(({ atS }) => atS) }
}

const textOf = (node: NodeInput): string => node.key?.text ?? ''

test('reports come half a minute after the server was seen to ask, then as it wishes, within bounds', async () => {
  const { reporter, times, pass } = setUp([
    { afterSeconds: 200, measure: [] },
    { afterSeconds: 1, measure: [] },
    { afterSeconds: 1e9, measure: [] },
    new Error('no server'),
  ])
  reporter.setNetmap(netmapOf([nodeOf(1)]))
  await pass(300)
  assert.deepEqual(times(), [20, 220, 280])
  await pass(3_600)
  assert.deepEqual(times().slice(3), [3_880])
  await pass(300)
  assert.deepEqual(times().slice(4), [4_180], 'a failed one is tried again')
  reporter.close()
  await pass(1_000)
  assert.equal(times().length, 5)
})

test('a server that does not ask is told nothing, and one that stops asking nothing more', async () => {
  const { reporter, sent, pass } = setUp()
  reporter.setNetmap(netmapOf([nodeOf(1)], false))
  await pass(1_000)
  assert.equal(sent.length, 0)
  const asking = netmapOf([nodeOf(1)])
  reporter.setNetmap(asking)
  await pass(30)
  reporter.setNetmap(applyMapResponse(asking, readMessage(mapResponse, { Node: { ID: 999, Key: key.text } }), 0))
  await pass(1_000)
  assert.equal(sent.length, 1)
})

test('told are peers that were measured, used or asked for, those in use first; a relay by its id', async () => {
  const [used, quiet, unknown, relay] = [nodeOf(1), nodeOf(2), nodeOf(3), nodeOf(4)]
  const { reporter, sent, pinged, carried, pass } = setUp([{ afterSeconds: 60, measure: ['3', '77'] }])
  reporter.setNetmap(netmapOf([used, quiet, unknown, relay]))
  carried.set(textOf(used), 10_000)
  reporter.notePath(textOf(quiet), view('direct', 10))
  reporter.notePath(textOf(quiet), view('direct', 20))
  reporter.notePath(textOf(used), view('derp', 40))
  await pass(30)
  const first = sent[0]?.report.peers ?? []
  assert.deepEqual(first, [
    { node: '1', kind: 'derp', latencyMs: 40, relay: undefined, isUsed: true },
    { node: '2', kind: 'direct', latencyMs: 13, relay: undefined, isUsed: false },
  ])
  assert.deepEqual(pinged, [textOf(used)], 'over DERP nothing but a ping measures')
  reporter.notePath(textOf(used), view('peer-relay', 5, { relay: textOf(relay) }))
  await pass(70)
  assert.deepEqual(sent[1]?.report.peers, [
    { node: '3', kind: 'derp', latencyMs: undefined, relay: undefined, isUsed: false },
    { node: '1', kind: 'peer-relay', latencyMs: 5, relay: '4', isUsed: false },
    { node: '2', kind: 'direct', latencyMs: 13, relay: undefined, isUsed: false },
  ])
  assert.deepEqual(pinged.slice(1), [textOf(unknown)])
})

test('a pair in use that moves is told of soon, but never more than once a minute', async () => {
  const peer = nodeOf(1)
  const { reporter, times, pass } = setUp()
  reporter.setNetmap(netmapOf([peer]))
  reporter.notePath(textOf(peer), view('derp'))
  await pass(25)
  assert.deepEqual(times(), [20])
  for (let i = 0; i < 100; i++) {
    reporter.notePath(textOf(peer), view(i % 2 === 0 ? 'direct' : 'derp', 5))
    await pass(1)
  }
  assert.deepEqual(times(), [20, 80])
  await pass(600)
  const all = times()
  for (const [i, atS] of all.slice(1).entries()) assert.ok(atS - (all[i] ?? 0) >= 60, all.join())
  reporter.notePath(textOf(peer), view('peer-relay', 5, { active: false }))
  const before = all.length
  await pass(15)
  assert.equal(times().length, before, 'one that nobody uses waits for its turn')
})

test('a large tailnet is told of in part', async () => {
  const peers = Array.from({ length: 600 }, (_, i) => nodeOf(i + 1))
  const { reporter, sent, pass } = setUp()
  reporter.setNetmap(netmapOf(peers))
  for (const peer of peers) reporter.notePath(textOf(peer), view('direct', 5))
  await pass(30)
  assert.equal(sent[0]?.report.peers?.length, MAX_REPORTED_PEERS)
})
