// A thousand peers for an hour of virtual time: what a large network costs one node.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PeerInput } from './peer-input.ts'
import { step } from './peer-path.ts'
import { inSession, newPeerPath, nextWakeMs, type PeerPath } from './peer-state.ts'

const PEERS = 1_000
const HOUR_MS = 3_600_000
/** Each peer is talked to for a minute, three times in the hour; ten of them all the time. */
const TALK_MS = 60_000
const TALKS = 3
const ALWAYS_ON = 10
const ACTIVE_EVERY_MS = 2_000
/** Candidates of a peer; of those that can be direct, the first answers. */
const ENDPOINTS = 5

interface Due {
  readonly atMs: number
  readonly peer: number
  /** Undefined for the state machine's own wake-up. */
  readonly input: PeerInput | undefined
}

/** A binary heap by time. */
class Queue {
  readonly #heap: Due[] = []

  push(due: Due): void {
    const heap = this.#heap
    let at = heap.push(due) - 1
    while (at > 0) {
      const up = (at - 1) >> 1
      const parent = heap[up]
      if (!parent || parent.atMs <= due.atMs) break
      heap[at] = parent
      heap[up] = due
      at = up
    }
  }

  pop(): Due | undefined {
    const heap = this.#heap
    const [first] = heap
    const last = heap.pop()
    if (!first || !last || heap.length === 0) return first
    heap[0] = last
    for (let at = 0; ;) {
      const left = 2 * at + 1
      const right = left + 1
      const down = (heap[right]?.atMs ?? Infinity) < (heap[left]?.atMs ?? Infinity) ? right : left
      const child = heap[down]
      if (!child || child.atMs >= last.atMs) return first
      heap[down] = last
      heap[at] = child
      at = down
    }
  }
}

type Reach = 'direct' | 'relay' | 'derp'
const reachOf = (peer: number): Reach => (peer % 10 === 8 ? 'relay' : peer % 10 === 9 ? 'derp' : 'direct')

test('a thousand peers for an hour: bounded pings, bounded memory, and no work for the idle', (t) => {
  const startMs = 1_000
  const paths: PeerPath[] = []
  const armed: (number | undefined)[] = []
  const pings: number[] = []
  const queue = new Queue()
  let steps = 0
  let relaySearches = 0

  const give = (peer: number, input: PeerInput, nowMs: number): void => {
    const before = paths[peer]
    assert.ok(before)
    const { path, effects } = step(before, input, nowMs)
    steps++
    paths[peer] = path
    const reach = reachOf(peer)
    for (const effect of effects) {
      if (effect.type === 'find-relay') {
        relaySearches++
        if (reach !== 'relay') continue
        const ready = { endpoint: '192.0.2.99:7777', vni: peer + 1, relay: { server: 's', node: 'r' }, latencyMs: 30 }
        queue.push({ atMs: nowMs + 120, peer, input: { type: 'relay-ready', ...ready } })
      }
      if (effect.type !== 'ping') continue
      pings[peer] = (pings[peer] ?? 0) + 1
      const answers =
        effect.vni !== undefined ? reach === 'relay' : reach === 'direct' && effect.endpoint.endsWith(':1')
      if (answers) queue.push({ atMs: nowMs + 20, peer, input: { type: 'pong', ping: effect.ping, latencyMs: 20 } })
    }
    const wakeMs = nextWakeMs(path)
    if (wakeMs === undefined) armed[peer] = undefined
    else if (armed[peer] === undefined || wakeMs < armed[peer]) {
      armed[peer] = wakeMs
      queue.push({ atMs: wakeMs, peer, input: undefined })
    }
  }

  for (let peer = 0; peer < PEERS; peer++) {
    paths.push(newPeerPath(startMs))
    armed.push(undefined)
    pings.push(0)
    const endpoints = Array.from({ length: ENDPOINTS }, (_, index) => `10.${peer >> 8}.${peer & 255}.1:${index + 1}`)
    give(peer, { type: 'netmap', endpoints, home: 1, relayCapable: true }, startMs)
    const alwaysOn = peer < ALWAYS_ON
    for (let talk = 0; talk < (alwaysOn ? 1 : TALKS); talk++) {
      const beginMs = alwaysOn
        ? startMs
        : startMs + ((peer * 7_919 + talk * (HOUR_MS / TALKS)) % (HOUR_MS - 2 * TALK_MS))
      const endMs = beginMs + (alwaysOn ? HOUR_MS - TALK_MS : TALK_MS)
      for (let atMs = beginMs; atMs < endMs; atMs += ACTIVE_EVERY_MS)
        queue.push({ atMs, peer, input: { type: 'active' } })
    }
  }
  const heapBefore = process.memoryUsage().heapUsed
  const began = performance.now()
  for (let due = queue.pop(); due && due.atMs <= startMs + HOUR_MS; due = queue.pop()) {
    if (due.input) give(due.peer, due.input, due.atMs)
    else if (armed[due.peer] === due.atMs) {
      armed[due.peer] = undefined
      give(due.peer, { type: 'tick' }, due.atMs)
    }
  }
  const tookMs = performance.now() - began
  const total = pings.reduce((sum, one) => sum + one, 0)
  t.diagnostic(
    `${steps} steps in ${tookMs.toFixed(0)} ms (${((tookMs * 1000) / steps).toFixed(1)} µs each), ${total} pings, ` +
      `${relaySearches} searches for a relay, heap ${((process.memoryUsage().heapUsed - heapBefore) / 1e6).toFixed(1)} MB more`,
  )

  assert.ok(tookMs < 60_000, `${tookMs} ms`)
  for (const [peer, count] of pings.entries()) {
    // A ping each 0.7 s while data flows, and each candidate once in five seconds while there is no direct path.
    const perTalk = (TALK_MS + 45_000) / 700 + ((TALK_MS + 45_000) / 5_000) * ENDPOINTS + 20
    const most = peer < ALWAYS_ON ? HOUR_MS / 600 + (HOUR_MS / 5_000) * ENDPOINTS : TALKS * perTalk
    assert.ok(count > 0 && count <= most, `${reachOf(peer)} peer ${peer}: ${count} pings, at most ${most}`)
  }
  const [first] = paths
  for (const path of paths) {
    assert.ok(!inSession(path))
    assert.equal(path.pings.size, 0)
    assert.equal(nextWakeMs(path), undefined)
    assert.ok(path.candidates.size <= ENDPOINTS)
    assert.deepEqual(Object.keys(path), Object.keys(first ?? {}))
  }
})
