import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { NodeId } from '../model.ts'
import { advise, type AdviceInput, type AdviceNode, MOST_CANDIDATES, MOST_PAIRS_SHOWN, toMeasure } from './advise.ts'
import { type DerpDistances, guessDirect, guessOverDerp } from './derp-distance.ts'
import { gains } from './gain.ts'
import { KnownPaths, type PathKind } from './known-paths.ts'

const node = (id: NodeId, more: Partial<AdviceNode> = {}): AdviceNode => ({
  id,
  isOnline: true,
  relay: 'no',
  isOpen: false,
  hasUdp: true,
  isHard: false,
  distances: undefined,
  ...more,
})

/** [from, to, kind, ms], of pairs that talk. */
type Told = readonly [NodeId, NodeId, PathKind, number, NodeId?]

function inputOf(nodes: readonly AdviceNode[], told: readonly Told[], more: Partial<AdviceInput> = {}): AdviceInput {
  const paths = new KnownPaths()
  for (const [from, to, kind, latencyMs, relay] of told) {
    paths.note(from, to, { kind, latencyMs, relay, isUsed: true }, 0)
    paths.noteReporter(from, 0)
  }
  return { nodes, paths, nowMs: 1_000, sees: (a, b) => a !== b, mayAsk: () => true, ...more }
}

const distances = (home: number, ms: Record<number, number>): DerpDistances => ({
  home,
  ms: new Map(Object.entries(ms).map(([region, value]) => [Number(region), value])),
})

test('the node that is near to both ends of a pair on DERP comes first, with what each pair would save', () => {
  const nodes = [node(1), node(2), node(3, { relay: 'able' }), node(4, { relay: 'on' })]
  const advice = advise(
    inputOf(nodes, [
      [1, 2, 'derp', 80],
      [1, 3, 'direct', 3],
      [3, 2, 'direct', 4],
      [1, 4, 'direct', 30],
      [2, 4, 'direct', 30],
    ]),
  )
  assert.deepEqual(
    advice.candidates.map((one) => [one.node, one.isRelay, one.savedMs, one.measuredCount]),
    [
      [3, false, 73, 1],
      [4, true, 20, 1],
    ],
  )
  assert.deepEqual(advice.candidates[0]?.pairs, [
    { a: 1, b: 2, kind: 'derp', nowMs: 80, thenMs: 7, savedMs: 73, basis: 'measured' },
  ])
  assert.equal(advice.pairsInNeed, 1)
})

test('a node that no direct path leads to is not advised, nor one that is away, unwilling, or without UDP', () => {
  const told: Told[] = [
    [1, 2, 'derp', 80],
    [1, 3, 'direct', 3],
    [2, 3, 'direct', 3],
  ]
  const count = (relay: AdviceNode, more = told): number =>
    advise(inputOf([node(1), node(2), relay], more)).candidates.length
  assert.equal(count(node(3, { relay: 'able' })), 1)
  assert.equal(count(node(3, { relay: 'able' }), [told[0] as Told, [1, 3, 'direct', 3], [2, 3, 'derp', 90]]), 0)
  assert.equal(count(node(3, { relay: 'able' }), told.slice(0, 2)), 0)
  assert.equal(count(node(3, { relay: 'able', isOnline: false })), 0)
  assert.equal(count(node(3, { relay: 'no' })), 0)
  assert.equal(count(node(3, { relay: 'on', hasUdp: false })), 0)
})

test('a pair whose network lets no UDP out, that does not talk, or is relayed already, needs nothing', () => {
  const nodes = [node(1), node(2), node(3, { relay: 'on' })]
  const legs: Told[] = [
    [1, 3, 'direct', 1],
    [2, 3, 'direct', 1],
  ]
  assert.equal(
    advise(inputOf([node(1, { hasUdp: false }), ...nodes.slice(1)], [[1, 2, 'derp', 80], ...legs])).pairsInNeed,
    0,
  )
  assert.equal(advise(inputOf(nodes, [[1, 2, 'peer-relay', 2, 3], ...legs])).pairsInNeed, 0)
  const quiet = inputOf(nodes, legs)
  const paths = new KnownPaths()
  paths.note(1, 2, { kind: 'derp', latencyMs: 80, relay: undefined, isUsed: false }, 0)
  assert.equal(advise({ ...quiet, paths }).pairsInNeed, 0)
})

test('a direct path is left for a relay only when that is far faster', () => {
  const nodes = [node(1), node(2), node(3, { relay: 'on' })]
  const saved = (direct: number, leg: number): number | undefined =>
    advise(
      inputOf(nodes, [
        [1, 2, 'direct', direct],
        [1, 3, 'direct', leg],
        [2, 3, 'direct', leg],
      ]),
    ).candidates[0]?.savedMs
  assert.equal(saved(200, 20), 160)
  assert.equal(saved(200, 90), undefined)
  assert.equal(saved(20, 1), undefined)
})

test('what is stale counts for nothing', () => {
  const nodes = [node(1), node(2), node(3, { relay: 'on' })]
  const input = inputOf(nodes, [
    [1, 2, 'derp', 80],
    [1, 3, 'direct', 3],
    [2, 3, 'direct', 3],
  ])
  assert.equal(advise(input).candidates.length, 1)
  assert.equal(advise({ ...input, nowMs: 16 * 60_000 }).pairsInNeed, 0)
})

test('only pairs that may talk, and of which one may ask the relay, are counted', () => {
  const nodes = [node(1), node(2), node(3, { relay: 'on' })]
  const told: Told[] = [
    [1, 2, 'derp', 80],
    [1, 3, 'direct', 3],
    [2, 3, 'direct', 3],
  ]
  const with1 = (more: Partial<AdviceInput>): number => advise(inputOf(nodes, told, more)).candidates.length
  assert.equal(with1({ mayAsk: (client) => client === 2 }), 1)
  assert.equal(with1({ mayAsk: () => false }), 0)
  assert.equal(with1({ sees: (a, b) => !(a === 1 && b === 2) && !(a === 2 && b === 1) }), 0)
  assert.equal(with1({ sees: (_, b) => b !== 3 }), 0)
})

test('of machines that tell only latencies to DERP regions, the advice is a guess and says so', () => {
  const near = { 1: 90, 2: 110, 3: 100 }
  const nodes = [
    node(1, { isHard: true, distances: distances(1, near) }),
    node(2, { isHard: true, distances: distances(1, { 1: 91, 2: 109, 3: 101 }) }),
    node(3, { relay: 'on', distances: distances(1, { 1: 90, 2: 110, 3: 99 }) }),
  ]
  const { candidates } = advise(inputOf(nodes, []))
  assert.equal(candidates[0]?.node, 3)
  assert.equal(candidates[0].pairs[0]?.basis, 'estimated')
  assert.equal(candidates[0].measuredCount, 0)
  const closed = nodes.map((one) => (one.id === 3 ? { ...one, relay: 'able' as const } : one))
  assert.deepEqual(advise(inputOf(closed, [])).candidates, [], 'nobody knows that anyone gets in there')
  // With one region in common nobody can tell where they are.
  const far = nodes.map((one) => ({ ...one, distances: one.distances && distances(1, { 1: 90 }) }))
  assert.deepEqual(advise(inputOf(far, [])).candidates, [])
})

test('a guess lies within what geometry allows, and is the same both ways', () => {
  const region = fc.integer({ min: 1, max: 5 })
  const place = fc.dictionary(region.map(String), fc.integer({ min: 0, max: 300 }), { minKeys: 1 })
  fc.assert(
    fc.property(place, place, (x, y) => {
      const [a, b] = [distances(1, x), distances(2, y)]
      const guess = guessDirect(a, b)
      assert.equal(guess, guessDirect(b, a))
      assert.equal(guessOverDerp(a, b), guessOverDerp(b, a))
      const common = [...a.ms].flatMap(([key, ms]) => (b.ms.has(key) ? [[ms, b.ms.get(key) ?? 0] as const] : []))
      const least = Math.max(...common.map(([one, other]) => Math.abs(one - other)))
      const most = Math.min(...common.map(([one, other]) => one + other))
      if (common.length === 0) assert.equal(guess, undefined)
      else assert.ok(guess !== undefined && guess >= least && guess <= Math.max(least, most))
    }),
  )
})

test('nodes are asked for what is missing: those in need for candidates, candidates for those who tell nothing', () => {
  const nodes = [node(1), node(2), node(3, { relay: 'able' }), node(4, { relay: 'on' }), node(5)]
  const input = inputOf(nodes, [[1, 2, 'derp', 80]])
  const ask = (id: NodeId, more: Partial<AdviceInput> = {}): NodeId[] => {
    const one = nodes.find((each) => each.id === id)
    assert.ok(one)
    return toMeasure({ ...input, ...more }, one, 8)
  }
  assert.deepEqual(ask(1), [4, 3], 'relays first')
  assert.deepEqual(ask(5), [])
  assert.deepEqual(ask(3), [2], 'who reports measures by itself')
  assert.deepEqual(ask(1, { sees: (_, b) => b !== 4 }), [3])
  input.paths.between(1, 3)
  assert.deepEqual(
    toMeasure(
      inputOf(nodes, [
        [1, 2, 'derp', 80],
        [1, 4, 'derp', 70],
      ]),
      node(1),
      8,
    ),
    [3],
    'not in vain again',
  )
  assert.equal(toMeasure(input, node(1), 1).length, 1)
})

test('the gain of a relay is what its pairs had before, less what they have now', () => {
  const nodes = [node(1), node(2), node(3, { relay: 'on' }), node(5), node(6)]
  const input = inputOf(nodes, [
    [1, 2, 'derp', 80],
    [2, 1, 'peer-relay', 10, 3],
    [5, 6, 'derp', 20],
    [5, 6, 'peer-relay', 30, 3],
    [1, 5, 'peer-relay', 10, 3],
  ])
  const [gain] = gains(input)
  assert.ok(gain)
  assert.deepEqual(
    [gain.node, gain.pairCount, gain.inUseCount, gain.slowerCount, gain.savedMs],
    [3, 2, 2, 1, 60],
    'a pair without a before is left out, a slower one is not hidden',
  )
  assert.deepEqual(gain.pairs[0], {
    a: 1,
    b: 2,
    beforeMs: 80,
    afterMs: 10,
    savedMs: 70,
    basis: 'measured',
    isInUse: true,
  })
})

test('a pair that nobody measured before is compared with a guess, and it says so', () => {
  const nodes = [
    node(1, { distances: distances(1, { 1: 40 }) }),
    node(2, { distances: distances(1, { 1: 50 }) }),
    node(3, { relay: 'on' }),
  ]
  const [gain] = gains(inputOf(nodes, [[1, 2, 'peer-relay', 10, 3]]))
  assert.deepEqual([gain?.pairs[0]?.basis, gain?.pairs[0]?.savedMs], ['estimated', 80])
})

const anyTold = fc.array(
  fc.record({
    from: fc.integer({ min: 1, max: 8 }),
    to: fc.integer({ min: 1, max: 8 }),
    kind: fc.constantFrom<PathKind>('direct', 'derp', 'peer-relay'),
    ms: fc.option(fc.double({ min: -10, max: 20_000, noNaN: false }), { nil: undefined }),
    relay: fc.option(fc.integer({ min: 1, max: 8 }), { nil: undefined }),
    isUsed: fc.boolean(),
  }),
  { maxLength: 60 },
)
const anyNodes = fc.array(
  fc.record({
    relay: fc.constantFrom<AdviceNode['relay']>('on', 'able', 'no'),
    isOnline: fc.boolean(),
    isOpen: fc.boolean(),
    hasUdp: fc.boolean(),
    isHard: fc.boolean(),
    distances: fc.option(
      fc
        .dictionary(fc.constantFrom('1', '2', '3', '4'), fc.integer({ min: 0, max: 300 }))
        .map((ms) => distances(1, ms)),
      { nil: undefined },
    ),
  }),
  { minLength: 8, maxLength: 8 },
)

test('whatever is told: no pair is made slower, the order is the same, and what policy forbids is not counted', () => {
  fc.assert(
    fc.property(anyNodes, anyTold, fc.func(fc.boolean()), fc.func(fc.boolean()), (some, told, sees, mayAsk) => {
      const nodes = some.map((one, i) => node(i + 1, one))
      const paths = new KnownPaths()
      for (const { from, to, ...fact } of told) paths.note(from, to, { ...fact, latencyMs: fact.ms }, 0)
      const input: AdviceInput = { nodes, paths, nowMs: 10, sees, mayAsk }
      const advice = advise(input)
      assert.ok(advice.candidates.length <= MOST_CANDIDATES)
      let before = Number.POSITIVE_INFINITY
      for (const { node: relay, savedMs, pairs, pairCount } of advice.candidates) {
        assert.ok(savedMs <= before && savedMs > 0 && Number.isFinite(savedMs))
        before = savedMs
        assert.ok(pairs.length <= MOST_PAIRS_SHOWN && pairs.length <= pairCount)
        const candidate = nodes.find(({ id }) => id === relay)
        assert.ok(candidate?.isOnline && candidate.hasUdp && candidate.relay !== 'no')
        for (const pair of pairs) {
          assert.ok(pair.thenMs < pair.nowMs, 'slower than now')
          assert.ok(pair.a !== relay && pair.b !== relay)
          assert.ok(sees(pair.a, pair.b) || sees(pair.b, pair.a))
          assert.ok([pair.a, pair.b].some((client) => sees(client, relay) && mayAsk(client, relay)))
        }
      }
      const shuffled = advise({ ...input, nodes: nodes.toReversed() })
      assert.deepEqual(shuffled.candidates, advice.candidates)
      for (const one of nodes) assert.ok(toMeasure(input, one, 3).length <= 3)
      gains(input)
    }),
  )
})

test('what is kept of pairs is bounded, and goes with its nodes', () => {
  const paths = new KnownPaths()
  for (let i = 0; i < 300; i++)
    for (let j = 0; j < 300; j++)
      paths.note(i, j, { kind: 'peer-relay', latencyMs: 1, relay: (i * j) % 1000, isUsed: false }, 0)
  assert.ok(paths.size <= 10_000)
  for (let relay = 0; relay < 100; relay++)
    paths.note(1, 2, { kind: 'peer-relay', latencyMs: 1, relay, isUsed: false }, 0)
  assert.ok((paths.between(1, 2)?.byRelay.size ?? 0) <= 4)
  assert.equal(paths.between(1, 2)?.byRelay.has(99), true)
  paths.keepOnly((id) => id === 1 || id === 2)
  assert.equal(paths.size, 1)
})
