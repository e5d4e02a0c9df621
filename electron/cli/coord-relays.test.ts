import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RelayAdviceInfo } from '../coord/advice/advice-info.ts'
import { adviceText } from './coord-relays.ts'

const NOTHING: RelayAdviceInfo = { isGathering: true, pairsInNeed: 0, candidates: [], relays: [] }

const pairOf = (a: string, b: string) =>
  ({ nodes: [a, b], path: 'derp', nowMs: 80, thenMs: 5, savedMs: 75, basis: 'measured' }) as const

test('advice in words names the node, the pairs, what they save, and what to type', () => {
  const text = adviceText({
    ...NOTHING,
    pairsInNeed: 5,
    candidates: [
      {
        node: 'attic',
        isRelay: false,
        pairCount: 5,
        measuredCount: 4,
        savedMs: 320.4,
        pairs: [pairOf('a', 'b'), pairOf('a', 'c'), pairOf('a', 'd'), pairOf('b', 'c')],
      },
    ],
  })
  assert.match(text, /attic +5 +320 ms +1 estimated +a – b \(80 ms → 5\.0 ms\), .* and 2 more/)
  assert.match(text, /On attic: peerway set --relay-server-port 40000/)
  assert.match(text, /"Estimated" rests on latencies to DERP regions/)
})

test('what a relay brought is told, also when it is a loss', () => {
  const text = adviceText({
    ...NOTHING,
    relays: [
      {
        node: 'attic',
        pairCount: 1,
        inUseCount: 0,
        slowerCount: 1,
        savedMs: -10,
        pairs: [{ nodes: ['a', 'b'], beforeMs: 20, afterMs: 30, savedMs: -10, basis: 'estimated', isInUse: false }],
      },
    ],
  })
  assert.match(text, /No pair that talks needs a relay/)
  assert.match(text, /attic +1 +0 +-10 ms +1 +a – b \(20 ms estimated → 30 ms\)/)
})

test('with nothing to advise it is said why', () => {
  assert.match(adviceText({ ...NOTHING, isGathering: false }), /peerway coord serve/)
  assert.match(adviceText({ ...NOTHING, pairsInNeed: 1 }), /^One pair is on DERP or slow/)
  assert.match(adviceText({ ...NOTHING, pairsInNeed: 3 }), /^3 pairs are on DERP or slow/)
})
