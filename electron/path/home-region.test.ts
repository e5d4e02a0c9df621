import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DerpMap } from './derp-map.ts'
import { chooseHome } from './home-region.ts'
import { NO_PORT_MAPPING, type NetcheckReport } from './report.ts'

const report = (latencies: Readonly<Record<number, number>>, startedAtMs = 100_000): NetcheckReport => ({
  startedAtMs,
  full: true,
  udp: true,
  ipv4: true,
  ipv6: false,
  ipv4CanSend: true,
  ipv6CanSend: false,
  osHasIpv6: false,
  mappingVariesByDestIp: undefined,
  regionLatencyMs: new Map(Object.entries(latencies).map(([region, ms]) => [Number(region), ms])),
  regionV4LatencyMs: new Map(),
  regionV6LatencyMs: new Map(),
  observed: new Map(),
  preferredDerp: undefined,
  portMapping: NO_PORT_MAPPING,
})
const node = { name: 'a', hostName: 'derp.example.org' }
const map: DerpMap = { regions: [1, 2, 3].map((id) => ({ id, nodes: [node] })) }

interface Case {
  readonly now: Readonly<Record<number, number>>
  readonly history?: readonly Readonly<Record<number, number>>[]
  readonly current?: number
  readonly heardAgoMs?: number
  readonly map?: DerpMap
}
const choose = (given: Case): number | undefined =>
  chooseHome({
    map: given.map ?? map,
    report: report(given.now),
    history: (given.history ?? []).map((latencies) => report(latencies, 50_000)),
    current: given.current,
    nowMs: 103_000,
    heardAtMs: () => (given.heardAgoMs === undefined ? undefined : 103_000 - given.heardAgoMs),
  })

test('without a home, the region that answers fastest becomes it', () => {
  assert.equal(choose({ now: { 1: 30, 2: 20 } }), 2)
  assert.equal(choose({ now: {} }), undefined)
})

test('a home is left only for one that is 10 ms and a third better', () => {
  assert.equal(choose({ now: { 1: 24, 2: 15 }, current: 1 }), 1, '9 ms better')
  assert.equal(choose({ now: { 1: 100, 2: 70 }, current: 1 }), 1, 'not a third better')
  assert.equal(choose({ now: { 1: 100, 2: 66 }, current: 1 }), 2)
})

test('earlier measurements count: one slow answer does not move the home', () => {
  assert.equal(choose({ now: { 1: 40, 2: 60 }, history: [{ 2: 10 }], current: 1 }), 2)
  assert.equal(choose({ now: { 1: 40 }, history: [{ 2: 10 }], current: 1 }), 1, 'only who answers now is a candidate')
})

test('a home whose STUN was lost is kept while its frames come', () => {
  assert.equal(choose({ now: { 2: 10 }, current: 1, heardAgoMs: 2_000 }), 1)
  assert.equal(choose({ now: { 2: 10 }, current: 1, heardAgoMs: 20_000 }), 2)
  assert.equal(choose({ now: {}, current: 1, heardAgoMs: 60_000 }), 1)
  assert.equal(choose({ now: {}, current: 1, heardAgoMs: 130_000 }), undefined)
})

test('regions that are gone, must not be home, or are scored down are treated so', () => {
  assert.equal(choose({ now: { 9: 1, 2: 20 } }), 2)
  assert.equal(choose({ now: { 2: 20 }, current: 9, heardAgoMs: 0 }), 2)
  const odd: DerpMap = {
    regions: [
      { id: 1, nodes: [node], noMeasureNoHome: true },
      { id: 2, nodes: [node], score: 3 },
      { id: 3, nodes: [node] },
    ],
  }
  assert.equal(choose({ now: { 1: 1, 2: 20, 3: 50 }, map: odd }), 3)
})
