import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connected, NOW_MS, paths, peer } from '../../test/e2e/fixtures/samples.ts'
import { chipText, pathWords } from './path-words.ts'
import type { PeerView } from './snapshot.ts'

const say = (over: Partial<PeerView>): [chip: string, sentence: string] => {
  const words = pathWords(peer('nas', over), connected.derpRegions, NOW_MS)
  return [chipText(words), words.sentence]
}

test('every kind of path has its word and its sentence', () => {
  assert.deepEqual(say({ path: paths.lan }), ['direct (LAN) · 1 ms', 'direct, on the same network, 1 milliseconds'])
  assert.deepEqual(say({ path: paths.direct }), ['direct · 12 ms', 'direct, 12 milliseconds'])
  assert.deepEqual(say({ path: paths.relay }), ['via nas · 31 ms', 'through nas, 31 milliseconds'])
  assert.deepEqual(say({ path: paths.derp }), ['DERP fra · 74 ms', 'through DERP Frankfurt, 74 milliseconds'])
  assert.deepEqual(say({ path: paths.looking }), ['looking…', 'looking for a path'])
  assert.deepEqual(say({ path: paths.idle }), ['idle', 'idle, a path opens when needed'])
})

test('below a millisecond there is no zero, and an unknown latency is left out', () => {
  assert.equal(say({ path: { ...paths.direct, latencyMs: 0.3 } })[0], 'direct · <1 ms')
  assert.equal(say({ path: { ...paths.derp, latencyMs: undefined } })[0], 'DERP fra')
})

test('a machine that is away says since when, relative for a day and then by date', () => {
  const away = (hours: number): string => say({ online: false, lastSeenAt: NOW_MS - hours * 3_600_000 })[0]
  assert.equal(away(0), 'last seen just now')
  assert.equal(away(0.5), 'last seen 30 min ago')
  assert.equal(away(2), 'last seen 2 h ago')
  assert.match(away(80), /^last seen (15 Mar|Mar 15)/)
  assert.deepEqual(say({ online: false }), ['offline', 'offline'])
  assert.equal(say({ expired: true })[0], 'signed out')
})

test('a direct path that works is believed over the server’s word', () => {
  assert.equal(say({ online: false, path: paths.lan })[0], 'direct (LAN) · 1 ms')
  assert.equal(say({ online: false, path: { ...paths.lan, idle: true } })[0], 'offline')
})
