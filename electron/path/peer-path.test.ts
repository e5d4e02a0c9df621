import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MAX_CANDIDATES } from './candidates.ts'
import type { PeerEffect, PeerInput } from './peer-input.ts'
import { step } from './peer-path.ts'
import { TRUST_MS } from './peer-timing.ts'
import {
  inSession,
  isTrusted,
  newPeerPath,
  nextWakeMs,
  pathSpec,
  PING_BURST,
  PINGS_PER_SECOND,
  shownLeg,
  type PeerPath,
} from './peer-state.ts'
import { isBetter } from './score.ts'

type Answer = (endpoint: string, nowMs: number) => number | undefined

/** Runs the machine in virtual time; `answer` says after how long an endpoint's pong comes. */
class Run {
  path: PeerPath
  nowMs = 1_000
  readonly effects: { readonly atMs: number; readonly effect: PeerEffect }[] = []
  answer: Answer
  #pongs: { readonly atMs: number; readonly ping: number; readonly latencyMs: number }[] = []

  constructor(answer: Answer = () => undefined) {
    this.answer = answer
    this.path = newPeerPath(this.nowMs)
  }

  give(input: PeerInput): readonly PeerEffect[] {
    const result = step(this.path, input, this.nowMs)
    this.path = result.path
    for (const effect of result.effects) {
      this.effects.push({ atMs: this.nowMs, effect })
      if (effect.type !== 'ping') continue
      const latencyMs = this.answer(effect.endpoint, this.nowMs)
      if (latencyMs !== undefined) this.#pongs.push({ atMs: this.nowMs + latencyMs, ping: effect.ping, latencyMs })
    }
    return result.effects
  }

  advance(ms: number, activeEveryMs?: number): void {
    const endMs = this.nowMs + ms
    let nextActiveMs = activeEveryMs === undefined ? Infinity : this.nowMs
    for (;;) {
      const [pong] = [...this.#pongs].sort((one, other) => one.atMs - other.atMs)
      const wakeMs = nextWakeMs(this.path) ?? Infinity
      const nextMs = Math.min(pong?.atMs ?? Infinity, wakeMs, nextActiveMs)
      if (nextMs > endMs) break
      assert.ok(nextMs >= this.nowMs || wakeMs <= this.nowMs, 'time runs forwards')
      this.nowMs = Math.max(this.nowMs, nextMs)
      if (pong && pong.atMs <= this.nowMs) {
        this.#pongs = this.#pongs.filter((one) => one !== pong)
        this.give({ type: 'pong', ping: pong.ping, latencyMs: pong.latencyMs })
      } else if (nextActiveMs <= this.nowMs) {
        nextActiveMs += activeEveryMs ?? Infinity
        this.give({ type: 'active' })
      } else {
        this.give({ type: 'tick' })
        assert.ok((nextWakeMs(this.path) ?? Infinity) > this.nowMs, 'a tick settles what was due')
      }
    }
    this.nowMs = endMs
  }

  count(type: PeerEffect['type'], sinceMs = 0): number {
    return this.effects.filter(({ atMs, effect }) => atMs >= sinceMs && effect.type === type).length
  }
}

const A = '192.0.2.1:41641'
const B = '198.51.100.2:41641'
const LAN = '10.0.0.2:41641'
const DERP = { kind: 'derp', region: 1 } as const
const netmap = (...endpoints: string[]): PeerInput => ({ type: 'netmap', endpoints, home: 1 })

test('data goes to DERP until an endpoint answers, then directly', () => {
  const run = new Run((endpoint) => (endpoint === B ? 20 : undefined))
  run.give(netmap(A, B))
  assert.deepEqual(shownLeg(run.path), DERP)
  run.give({ type: 'active' })
  assert.equal(run.count('ping'), 2)
  assert.equal(run.count('call-me-maybe'), 1)
  run.advance(20)
  assert.deepEqual(pathSpec(run.path), {
    leg: { kind: 'direct', endpoint: B },
    fallback: DERP,
    trustedUntilMs: 1_020 + TRUST_MS,
  })
  assert.equal(run.path.reason, 'answered')
})

test('an idle peer costs nothing: no pings, no timer', () => {
  const run = new Run()
  run.give(netmap(A, B))
  run.advance(3_600_000)
  assert.equal(run.count('ping'), 0)
  assert.equal(nextWakeMs(run.path), undefined)
})

test('heartbeats keep a path trusted during a session and end 45 s after the last data', () => {
  const run = new Run(() => 3)
  run.give(netmap(A))
  run.advance(30_000, 1_000)
  assert.ok(isTrusted(run.path, run.nowMs))
  assert.equal(run.count('changed'), 2, 'DERP at first, then direct, and no change after that')
  const lastDataMs = run.nowMs
  run.advance(60_000)
  assert.ok(!inSession(run.path))
  assert.ok(run.count('ping', lastDataMs + 49_000) === 0)
  assert.equal(nextWakeMs(run.path), undefined)
  assert.equal(shownLeg(run.path)?.kind, 'direct', 'an idle path is shown as it was')
})

test('a path that goes quiet is left within 8 s, and taken again when it answers', () => {
  let alive = true
  const run = new Run(() => (alive ? 10 : undefined))
  run.give(netmap(A))
  run.advance(10_000, 1_000)
  alive = false
  const deadMs = run.nowMs
  run.advance(6_600, 1_000)
  assert.deepEqual(shownLeg(run.path), DERP)
  assert.equal(run.path.reason, 'silent')
  assert.deepEqual(pathSpec(run.path).fallback ?? pathSpec(run.path).leg, DERP)
  run.advance(2_000, 1_000)
  assert.equal(run.path.best, undefined)
  assert.ok(run.nowMs - deadMs < 9_000)
  run.advance(120_000, 1_000)
  alive = true
  run.advance(6_000, 1_000)
  assert.equal(shownLeg(run.path)?.kind, 'direct')
})

test('idle for an hour, a live path is not shown as lost at the first packet', () => {
  const run = new Run(() => 10)
  run.give(netmap(A))
  run.advance(5_000, 1_000)
  run.advance(3_600_000)
  const backMs = run.nowMs
  run.advance(3_000, 1_000)
  assert.equal(run.count('changed', backMs), 0)
  assert.ok(isTrusted(run.path, run.nowMs))
})

test('two candidates that both answer settle on the better one and stay there', () => {
  const run = new Run((endpoint) => (endpoint === LAN ? 2 : 30))
  run.give(netmap(A, LAN))
  run.advance(1_000, 500)
  assert.deepEqual(shownLeg(run.path), { kind: 'direct', endpoint: LAN })
  const settledMs = run.nowMs
  run.advance(300_000, 1_000)
  assert.equal(run.count('changed', settledMs), 0)
})

test('a candidate that turns up later is tried while the path is slow', () => {
  const run = new Run((endpoint) => (endpoint === LAN ? 2 : 30))
  run.give(netmap(A))
  run.advance(2_000, 1_000)
  run.give(netmap(A, LAN))
  run.advance(62_000, 1_000)
  assert.deepEqual(shownLeg(run.path), { kind: 'direct', endpoint: LAN })
  assert.equal(run.path.reason, 'better')
})

test('a ping from an endpoint that did not answer is returned at once, but not each time', () => {
  const run = new Run()
  run.give(netmap(A))
  run.give({ type: 'active' })
  run.advance(100)
  const beforeMs = run.nowMs
  for (let times = 0; times < 5; times++) run.give({ type: 'heard', endpoint: A })
  assert.equal(run.count('ping', beforeMs), 1)
  run.advance(1_000)
  run.give({ type: 'heard', endpoint: A })
  assert.equal(run.count('ping', beforeMs), 2)
})

test('an idle peer that pings us is not pinged back', () => {
  const run = new Run()
  run.give(netmap(A))
  run.give({ type: 'heard', endpoint: A })
  assert.equal(run.count('ping'), 0)
})

test('CallMeMaybe is answered by pings at once and never by another CallMeMaybe', () => {
  const run = new Run()
  run.give(netmap(A))
  run.give({ type: 'call-me-maybe', endpoints: [A, B] })
  run.give({ type: 'call-me-maybe', endpoints: [A, B] })
  assert.equal(run.count('ping'), 4)
  assert.equal(run.count('call-me-maybe'), 0)
})

test('what a CallMeMaybe no longer lists is forgotten, what the netmap lists is not', () => {
  const run = new Run()
  run.give(netmap(A))
  run.give({ type: 'call-me-maybe', endpoints: [A, B] })
  run.give({ type: 'call-me-maybe', endpoints: [LAN] })
  assert.deepEqual([...run.path.candidates.keys()].sort(), [LAN, A].sort())
})

test('a send error leaves the path at once', () => {
  const run = new Run((endpoint) => (endpoint === A ? 10 : undefined))
  run.give(netmap(A))
  run.advance(1_000, 500)
  const effects = run.give({ type: 'send-error', endpoint: A })
  assert.deepEqual(shownLeg(run.path), DERP)
  assert.equal(run.path.reason, 'unreachable')
  assert.ok(effects.some((effect) => effect.type === 'path' && effect.spec.leg?.kind === 'derp'))
})

test('a changed network puts the path in doubt; it survives when it answers and is left when it does not', () => {
  let alive = true
  const run = new Run(() => (alive ? 10 : undefined))
  run.give(netmap(A))
  run.advance(5_000, 1_000)
  const atMs = run.nowMs
  const effects = run.give({ type: 'network-changed' })
  assert.ok(effects.some((effect) => effect.type === 'path' && effect.spec.trustedUntilMs < atMs))
  assert.ok(effects.some((effect) => effect.type === 'ping'))
  run.advance(1_500, 500)
  assert.equal(run.count('changed', atMs), 0)
  alive = false
  run.give({ type: 'network-changed' })
  run.advance(1_500, 500)
  assert.deepEqual(shownLeg(run.path), DERP)
  assert.equal(run.path.reason, 'network-changed')
})

test('the fallback follows the home region of the peer; without one, the region it was heard in', () => {
  const run = new Run(() => 10)
  run.give(netmap(A))
  run.advance(1_000, 500)
  run.give({ type: 'netmap', endpoints: [A], home: 7 })
  assert.deepEqual(pathSpec(run.path).fallback, { kind: 'derp', region: 7 })
  run.give({ type: 'heard-derp', region: 9 })
  assert.deepEqual(pathSpec(run.path).fallback, { kind: 'derp', region: 7 })
  run.give({ type: 'netmap', endpoints: [A], home: undefined })
  assert.deepEqual(pathSpec(run.path).fallback, { kind: 'derp', region: 9 })
})

test('a working path outlives its listing; a silent one does not', () => {
  let alive = true
  const run = new Run(() => (alive ? 10 : undefined))
  run.give(netmap(A))
  run.advance(2_000, 1_000)
  run.give(netmap(B))
  assert.deepEqual(pathSpec(run.path).leg, { kind: 'direct', endpoint: A })
  alive = false
  run.advance(9_000, 1_000)
  assert.equal(run.path.best, undefined)
  assert.ok(!run.path.candidates.has(A))
})

test('a call that does not list the path in use puts it in doubt, no more', () => {
  const run = new Run(() => 10)
  run.give(netmap())
  run.give({ type: 'active' })
  run.give({ type: 'heard', endpoint: B })
  run.advance(60_000, 1_000)
  assert.deepEqual(pathSpec(run.path).leg, { kind: 'direct', endpoint: B })
  run.give({ type: 'call-me-maybe', endpoints: [A] })
  assert.deepEqual(pathSpec(run.path).leg, { kind: 'direct', endpoint: B })
  assert.ok(!isTrusted(run.path, run.nowMs))
  run.answer = () => undefined
  run.advance(6_000, 1_000)
  assert.ok(run.count('changed', run.nowMs - 6_000) <= 1)
})

test('a peer that has no endpoint at all is called, at most every five seconds', () => {
  const run = new Run()
  run.give(netmap())
  run.advance(30_000, 1_000)
  const calls = run.count('call-me-maybe')
  assert.ok(calls >= 5 && calls <= 7, String(calls))
})

test('for a peer that gives no sign of life, relays are troubled once a minute; for one that does, every ten seconds', () => {
  const run = new Run()
  run.give({ type: 'netmap', endpoints: [A], home: 1, relayCapable: true })
  run.advance(600_000, 1_000)
  assert.ok(run.count('find-relay') <= 4 + 10, String(run.count('find-relay')))
  const sinceMs = run.nowMs
  for (let turn = 0; turn < 30; turn++) {
    run.give({ type: 'derp-pong', latencyMs: 20 })
    run.advance(10_000, 1_000)
  }
  const searches = run.count('find-relay', sinceMs)
  assert.ok(searches >= 28 && searches <= 34, String(searches))
})

test('without data nobody looks for a relay, nor when the policy forbids it', () => {
  const run = new Run()
  run.give({ type: 'netmap', endpoints: [A], home: 1, relayCapable: true })
  run.advance(600_000)
  run.give({ type: 'policy', policy: { mode: 'only-direct', derpData: true } })
  run.advance(60_000, 1_000)
  assert.equal(run.count('find-relay'), 0)
  assert.equal(run.path.reason, 'policy')
})

const endpoint = fc
  .tuple(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 65_535 }))
  .map(([host, port]) => `192.0.2.${host}:${port}`)
const fewEndpoints = fc.array(fc.constantFrom(A, B, LAN, '[2001:db8::1]:1', 'junk', '0.0.0.0:1'), { maxLength: 5 })
const input: fc.Arbitrary<PeerInput> = fc.oneof(
  fc.record({
    type: fc.constant('netmap' as const),
    endpoints: fc.oneof(fewEndpoints, fc.array(endpoint, { maxLength: 150, size: 'max' })),
    home: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
    relayCapable: fc.boolean(),
  }),
  fc.record({
    type: fc.constant('relay-ready' as const),
    endpoint: fc.constantFrom(A, B, LAN),
    vni: fc.integer({ min: 1, max: 3 }),
    relay: fc.record({ server: fc.constantFrom('s', 't'), node: fc.constantFrom(undefined, 'r', 'q') }),
    latencyMs: fc.nat(300),
  }),
  fc.record({
    type: fc.constant('policy' as const),
    policy: fc.record({
      mode: fc.constantFrom('automatic', 'only-direct', 'prefer-relay', 'only-relay'),
      relay: fc.constant('r'),
      family: fc.constantFrom(undefined, 'ipv4', 'ipv6'),
      derpData: fc.boolean(),
    }),
  }),
  fc.constant<PeerInput>({ type: 'active' }),
  fc.constant<PeerInput>({ type: 'tick' }),
  fc.constant<PeerInput>({ type: 'probe' }),
  fc.constant<PeerInput>({ type: 'network-changed' }),
  fc.constant<PeerInput>({ type: 'disco-changed' }),
  fc.record({ type: fc.constant('heard' as const), endpoint: fc.oneof(endpoint, fc.constantFrom(A, B, LAN)) }),
  fc.record({ type: fc.constant('heard-derp' as const), region: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ type: fc.constant('pong' as const), ping: fc.integer({ min: 0, max: 300 }), latencyMs: fc.nat(500) }),
  fc.record({
    type: fc.constant('call-me-maybe' as const),
    endpoints: fc.oneof(fewEndpoints, fc.array(endpoint, { maxLength: 100, size: 'max' })),
  }),
  fc.record({ type: fc.constant('send-error' as const), endpoint: fc.constantFrom(A, B, LAN) }),
)

/** No leg that the policy forbids is ever in use. */
function assertAllowed(path: PeerPath): void {
  const { best, policy } = path
  const { leg, fallback } = pathSpec(path)
  if (best?.leg.kind === 'direct') assert.notEqual(policy.mode, 'only-relay')
  if (best?.leg.kind === 'relay') {
    assert.notEqual(policy.mode, 'only-direct')
    if (policy.mode === 'only-relay') assert.equal(best.relay?.node, policy.relay)
  }
  if (!policy.derpData || policy.mode.startsWith('only-'))
    for (const one of [leg, fallback]) assert.notEqual(one?.kind, 'derp')
}

test('whatever happens, what the data plane was told is one path, and the right one', () => {
  const happenings = fc.array(fc.tuple(input, fc.nat(4_000)), { maxLength: 60, size: 'max' })
  fc.assert(
    fc.property(happenings, (list) => {
      const run = new Run((_, nowMs) => (nowMs % 3 === 0 ? 10 : undefined))
      let told = pathSpec(run.path)
      let seen = 0
      for (const [what, waitMs] of list) {
        run.give(what)
        run.advance(waitMs)
        for (const { effect } of run.effects.slice(seen)) {
          if (effect.type === 'path') told = effect.spec
          if (effect.type === 'trust') {
            assert.ok(effect.untilMs > told.trustedUntilMs, 'trust only grows')
            told = { ...told, trustedUntilMs: effect.untilMs }
          }
        }
        seen = run.effects.length
        assert.deepEqual(told, pathSpec(run.path))
        const { best, candidates, pings } = run.path
        if (best?.leg.kind === 'direct') assert.ok(candidates.has(best.leg.endpoint), 'the best path is a candidate')
        assertAllowed(run.path)
        assert.ok(candidates.size <= MAX_CANDIDATES)
        assert.ok(pings.size <= PING_BURST + 10 * PINGS_PER_SECOND + list.length)
        assert.ok((nextWakeMs(run.path) ?? Infinity) > run.nowMs)
      }
    }),
  )
})

test('a hostile peer cannot make us send more than its allowance of pings', () => {
  const calls = fc.array(fc.tuple(fc.array(endpoint, { maxLength: 80, size: 'max' }), fc.nat(300)), {
    maxLength: 60,
    size: 'max',
  })
  fc.assert(
    fc.property(calls, (list) => {
      const run = new Run()
      run.give({ type: 'netmap', endpoints: [], home: 1 })
      const startMs = run.nowMs
      for (const [endpoints, waitMs] of list) {
        run.give({ type: 'call-me-maybe', endpoints })
        run.advance(waitMs)
      }
      assert.ok(run.count('ping') <= PING_BURST + ((run.nowMs - startMs) / 1000) * PINGS_PER_SECOND)
    }),
    { numRuns: 50 },
  )
})

test('the best confirmed path wins in the end, whatever the latencies', () => {
  const worlds = fc.uniqueArray(fc.tuple(endpoint, fc.integer({ min: 6, max: 400 })), {
    minLength: 1,
    maxLength: 6,
    selector: ([name]) => name,
  })
  fc.assert(
    fc.property(worlds, (list) => {
      const latency = new Map(list)
      const run = new Run((name) => latency.get(name))
      run.give(netmap(...latency.keys()))
      run.advance(300_000, 1_000)
      const { best } = run.path
      assert.ok(best)
      for (const [endpoint, latencyMs] of latency)
        assert.ok(!isBetter({ leg: { kind: 'direct', endpoint }, latencyMs }, best), `${endpoint} beats the best`)
    }),
    { numRuns: 40 },
  )
})

test('a peer whose DERP region becomes known late is called then, once', () => {
  const run = new Run((endpoint) => (endpoint === A ? 10 : undefined))
  run.give({ type: 'netmap', endpoints: [A], home: undefined })
  run.give({ type: 'active' })
  run.advance(500)
  assert.equal(shownLeg(run.path)?.kind, 'direct')
  assert.equal(run.count('call-me-maybe'), 0)
  run.give({ type: 'heard-derp', region: 1 })
  run.give({ type: 'netmap', endpoints: [A], home: 1 })
  assert.equal(run.count('call-me-maybe'), 1)
  run.advance(4_000, 500)
  assert.equal(run.count('call-me-maybe'), 1)
})

test('a peer that called us is called back when its place answers, also by who has nothing to send, and only then', () => {
  const run = new Run((endpoint) => (endpoint === A ? 10 : undefined))
  run.give({ type: 'netmap', endpoints: [A, B], home: 1 })
  for (let call = 0; call < 5; call++) {
    run.give({ type: 'call-me-maybe', endpoints: [A, B] })
    run.advance(1_000)
  }
  assert.equal(inSession(run.path), false)
  assert.equal(run.count('call-me-maybe'), 1)
})
