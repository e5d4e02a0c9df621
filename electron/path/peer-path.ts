// The path to one peer, as a state machine without I/O: step() takes what happened and says what to do. Timers are one
// number, nextWakeMs(). Who the peer is, keys, sealing and sockets are the driver's (path-finder.ts).

import type { Endpoint } from '../base/endpoint.ts'
import { pruned, unthrottled, usableEndpoints, withHeard, withList, usableEndpoint } from './candidates.ts'
import { MAX_CALLED_ENDPOINTS, MAX_CANDIDATES, type Candidate } from './candidates.ts'
import { NO_DATA_CHECK } from './data-check.ts'
import { sameLeg } from './leg.ts'
import { allowsDirect, allowsRelay, isPreferredRelay, type PathPolicy, samePolicy } from './path-policy.ts'
import { flawOf, hasDetour, isShunned } from './avoidance.ts'
import { isShaky } from './path-quality.ts'
import type { PathReason } from './path-view.ts'
import {
  derpRegion,
  inSession,
  isTrusted,
  legOf,
  NO_LOAD,
  type PeerPath,
  PING_TIMEOUT_MS,
  pingsLeft,
} from './peer-state.ts'
import type { PeerEffect, PeerInput } from './peer-input.ts'
import {
  ALIVE_MS,
  BENEFIT_OF_DOUBT_MS,
  DISCOVERY_MS,
  ECHO_MS,
  FLOW_HEARTBEAT_MS,
  GOOD_ENOUGH_MS,
  HEARTBEAT_MS,
  PATIENCE_MS,
  PROMISING_MS,
  RELAY_DELAY_MS,
  REMEMBERED_MS,
  SESSION_MS,
  STALLED_MS,
  UPGRADE_MS,
} from './peer-timing.ts'
import { pathEffects, withReason } from './path-effects.ts'
import { isAbsent, relayPauseMs, wantsRelay } from './relay-wish.ts'
import { FlawDraft } from './peer-flaws.ts'
import { isBetter } from './score.ts'
import * as size from './size-check.ts'

const NO_DERP_NEWS = { derpHeardAtMs: undefined, derpOwesSinceMs: undefined } as const

const SIGNS_OF_LIFE: ReadonlySet<PeerInput['type']> = new Set([
  'heard',
  'heard-derp',
  'pong',
  'derp-pong',
  'relay-ready',
])

export interface Step {
  readonly path: PeerPath
  readonly effects: readonly PeerEffect[]
}

export function step(path: PeerPath, input: PeerInput, nowMs: number): Step {
  const draft = new Draft(path, nowMs)
  draft.take(input)
  return draft.finish()
}

/** One step. */
class Draft extends FlawDraft {
  finish(): Step {
    if (this.path.callOwed && derpRegion(this.path) !== undefined) this.#call()
    const path = withReason(this.before, this.path, this.cause)
    return { path, effects: [...pathEffects(this.before, path), ...this.asked] }
  }

  take(input: PeerInput): void {
    if (SIGNS_OF_LIFE.has(input.type)) this.#heardOf()
    switch (input.type) {
      case 'netmap':
        return this.#netmap(input.endpoints, input.home, input.relayCapable ?? false)
      case 'active':
        return this.#active()
      case 'tick':
        return this.#tick()
      case 'heard':
        return this.#heard(input.endpoint)
      case 'heard-derp':
        return this.heardDerp(input.region)
      case 'pong':
        return this.#pong(input.ping, input.latencyMs)
      case 'derp-pong':
        this.set({ derpLatencyMs: input.latencyMs })
        return this.heardDerp(undefined)
      case 'call-me-maybe':
        return this.#callMeMaybe(input.endpoints)
      case 'send-error':
        return this.#sendError(input.endpoint)
      case 'network-changed':
        return this.#startOver('network-changed')
      case 'found-ourselves':
        if (inSession(this.path) && this.#wantsDirect()) this.#call()
        return
      case 'disco-changed':
        return this.#startOver(undefined)
      case 'policy':
        return this.#policy(input.policy)
      case 'relay-ready':
        return this.#relayReady(input)
      case 'load':
        this.set({ load: input.load })
        this.checkSize()
        return this.checkData()
      case 'probe':
        return this.#probe()
    }
  }

  #netmap(endpoints: readonly string[], home: number | undefined, relayCapable: boolean): void {
    if (this.path.home !== home) {
      this.cause = home === undefined ? 'no-home' : this.path.reason === 'start' ? 'start' : 'home-changed'
      this.set({ home, derpLatencyMs: undefined, derpPingedAtMs: undefined, ...NO_DERP_NEWS })
    }
    const listed = usableEndpoints(endpoints, MAX_CANDIDATES)
    // It may not have known its place when it was called.
    if ([...listed].some((endpoint) => !this.path.candidates.has(endpoint))) this.set({ calledAtMs: undefined })
    this.set({ candidates: withList(this.path.candidates, 'inNetmap', listed) })
    this.#prune()
    if (relayCapable !== this.path.relayCapable) {
      this.set({ relayCapable })
      this.wantRelay(RELAY_DELAY_MS)
    }
    if (inSession(this.path) && this.#wantsDirect()) this.#round({ call: true })
  }

  #active(): void {
    const fresh = !inSession(this.path)
    const heartbeatAtMs = Math.min(this.path.heartbeatAtMs ?? Infinity, this.now + FLOW_HEARTBEAT_MS)
    this.set({ activeAtMs: this.now, heartbeatAtMs })
    if (fresh) {
      const doubtAtMs = Math.max((this.path.best?.trustedUntilMs ?? 0) + 1, this.now + BENEFIT_OF_DOUBT_MS)
      this.set({ doubtAtMs, relayTries: 0 })
      this.wantRelay(RELAY_DELAY_MS)
      // Nobody looked at this path for a while.
      if (!isTrusted(this.path, this.now)) this.#pingBest()
    }
    if (this.#wantsDirect()) this.#round({ call: true })
  }

  #tick(): void {
    this.#expirePings()
    const { best, doubtAtMs, heartbeatAtMs, activeAtMs } = this.path
    if (heartbeatAtMs === undefined) return
    this.#lookForAnswer()
    this.judgeSizes()
    if (best && doubtAtMs !== undefined && doubtAtMs <= this.now && !isTrusted(this.path, this.now)) this.#doubt()
    this.#lookForRelay()
    if (heartbeatAtMs > this.now) return
    if (activeAtMs === undefined || this.now - activeAtMs > SESSION_MS) {
      const sizes = size.withoutRounds(this.path.sizes)
      this.set({ heartbeatAtMs: undefined, doubtAtMs: undefined, awaited: undefined, relayDueAtMs: undefined })
      this.set({ load: NO_LOAD, sizes })
      return
    }
    this.set({ heartbeatAtMs: this.now + (this.isFlowing() ? FLOW_HEARTBEAT_MS : HEARTBEAT_MS) })
    if (this.#wantsRound()) this.#round({ call: true })
    this.#pingBest()
    this.pingDerp()
    this.takeFlawed()
    this.checkSize()
    if (this.path.relayDueAtMs === undefined) this.wantRelay(0)
  }

  /** Two answers missing in a row while data flows: the path is in doubt, long before its trust runs out. */
  #lookForAnswer(): void {
    const { awaited, best } = this.path
    if (!awaited || awaited.dueAtMs > this.now) return
    this.set({ awaited: undefined })
    const stalled = this.now - awaited.dueAtMs > STALLED_MS
    if (!best || !this.isFlowing()) return
    if (!stalled) this.sample(best.leg.endpoint, false)
    if (!isTrusted(this.path, this.now)) return
    if (stalled || awaited.missed === 0) return this.#pingBest(stalled ? 0 : 1)
    this.set({ suspicion: 'silent', best: { ...best, trustedUntilMs: this.now - 1 }, relayTries: 0 })
    this.#doubt()
    this.withdraw()
    this.#round({ call: true })
    this.wantRelay(0)
  }

  #heardOf(): void {
    const wasAbsent = isAbsent(this.path, this.now)
    this.set({ heardAtMs: this.now })
    if (wasAbsent) this.wantRelay(RELAY_DELAY_MS)
  }

  #lookForRelay(): void {
    const { relayDueAtMs, relayTries } = this.path
    if (relayDueAtMs === undefined || relayDueAtMs > this.now) return
    this.set({ relayDueAtMs: undefined })
    if (!wantsRelay(this.path, this.now)) return
    const againMs = relayPauseMs(this.path, this.now)
    this.set({ relayDueAtMs: this.now + againMs, relayTries: relayTries + 1 })
    this.asked.push({ type: 'find-relay' })
  }

  #expirePings(): void {
    const pings = new Map(this.path.pings)
    for (const [number, ping] of pings) {
      if (this.now - ping.atMs < PING_TIMEOUT_MS) break
      pings.delete(number)
      const leg = this.path.best?.leg
      if (leg && sameLeg(leg, legOf(ping)) && !isTrusted(this.path, this.now))
        this.clearBest(this.path.suspicion ?? 'silent')
    }
    if (pings.size !== this.path.pings.size) this.set({ pings })
  }

  #doubt(): void {
    this.cause = this.path.suspicion ?? 'silent'
    this.set({ doubtful: true })
  }

  #wantsRound(): boolean {
    const { best, roundAtMs } = this.path
    if (this.#wantsDirect()) return true
    if (best?.leg.kind !== 'direct') return false
    if (roundAtMs === undefined) return true
    return best.latencyMs > GOOD_ENOUGH_MS && this.now - roundAtMs >= UPGRADE_MS
  }

  #heard(endpoint: Endpoint): void {
    const usable = usableEndpoint(endpoint)
    if (usable === undefined) return
    this.set({ candidates: withHeard(this.path.candidates, usable, this.now) })
    if (this.path.candidates.size > MAX_CANDIDATES) this.#prune()
    // The peer's packet came through, so ours may too: at once, not at the next round. Our ping of a moment ago may well
    // have met a router that the peer's packet had not opened yet.
    const candidate = this.path.candidates.get(usable)
    if (!candidate || !inSession(this.path) || !this.#wantsDirect()) return
    if (candidate.echoedAtMs !== undefined && this.now - candidate.echoedAtMs < ECHO_MS) return
    this.#pingCandidate(usable, { ...candidate, pingedAtMs: undefined, echoedAtMs: this.now })
  }

  #pong(number: number, latencyMs: number): void {
    const ping = this.path.pings.get(number)
    if (!ping) return
    const pings = new Map(this.path.pings)
    pings.delete(number)
    this.set({ pings })
    const leg = legOf(ping)
    this.noteSize(leg, number, ping.full)
    this.#noteLatency(ping.endpoint, latencyMs)
    if (this.isLeft(leg)) return
    const { best } = this.path
    // A relay is taken into use when its handshake is done; until then, and for others' pongs, that is not our affair.
    if (leg.kind === 'relay') {
      if (best && sameLeg(best.leg, leg)) this.adopt('answered', { leg, latencyMs, relay: best.relay })
      return
    }
    const candidate = this.path.candidates.get(ping.endpoint)
    if (!candidate) return
    if (!allowsDirect(this.path.policy)) return
    const trusted = isTrusted(this.path, this.now)
    const isLastResort = flawOf(this.path, leg.endpoint, this.now) !== undefined
    const isShown = trusted && sameLeg(best?.leg, leg)
    const mayWait = trusted || hasDetour(this.path, this.now)
    if (!isShown && !isLastResort && mayWait && isShaky(this.path.quality, leg.endpoint))
      return void this.#pingCandidate(ping.endpoint, { ...candidate, pingedAtMs: undefined })
    const wasDirect = best?.leg.kind === 'direct' && !this.path.doubtful
    if (best && trusted && !sameLeg(best.leg, leg) && !isBetter({ leg, latencyMs }, best, this.path.policy)) return
    this.adopt(best && trusted && !this.path.doubtful ? 'better' : 'answered', { leg, latencyMs })
    // A stock peer tries again once in five seconds, but at once when it is called.
    if (!wasDirect) this.#call()
  }

  #call(): void {
    const region = derpRegion(this.path)
    this.set({ callOwed: region === undefined })
    if (region === undefined) return
    this.set({ calledAtMs: this.now })
    this.asked.push({ type: 'call-me-maybe', region })
  }

  #noteLatency(endpoint: Endpoint, latencyMs: number): void {
    const candidate = this.path.candidates.get(endpoint)
    if (!candidate) return
    const answered = { ...candidate, latencyMs, answeredAtMs: this.now }
    this.set({ candidates: new Map(this.path.candidates).set(endpoint, answered) })
  }

  #relayReady({ endpoint, vni, relay, latencyMs }: Extract<PeerInput, { type: 'relay-ready' }>): void {
    const { best, policy } = this.path
    if (!allowsRelay(policy, relay.node) || isShunned(this.path, endpoint, this.now)) return
    const next = { leg: { kind: 'relay', endpoint, vni } as const, latencyMs, relay }
    const same = best?.leg.kind === 'relay' && best.relay?.server === relay.server
    if (best && !same && isTrusted(this.path, this.now) && !isBetter(next, best, policy)) return
    this.adopt('relay', next)
    this.set({ relayTries: 0, relayDueAtMs: undefined })
    this.wantRelay(0)
  }

  #policy(policy: PathPolicy): void {
    if (samePolicy(policy, this.path.policy)) return
    this.cause = 'policy'
    this.set({ policy, relayTries: 0, relayDueAtMs: undefined })
    const { best } = this.path
    const allowed = !best || (best.leg.kind === 'direct' ? allowsDirect(policy) : allowsRelay(policy, best.relay?.node))
    if (!allowed) this.clearBest('policy')
    if (!inSession(this.path)) return
    this.#unthrottle()
    this.wantRelay(0)
    if (this.#wantsDirect()) this.#round({ call: true })
  }

  #callMeMaybe(endpoints: readonly string[]): void {
    const usable = usableEndpoints(endpoints, MAX_CALLED_ENDPOINTS)
    this.set({ candidates: withList(this.path.candidates, 'called', usable) })
    // The peer has no path to us, and where we send is not among its places: it may have moved.
    const { best } = this.path
    if (best?.leg.kind === 'direct' && !usable.has(best.leg.endpoint)) this.#distrust()
    this.#unthrottle()
    // No CallMeMaybe in return: two peers would call each other for ever.
    this.#round({ call: false })
  }

  #sendError(endpoint: Endpoint): void {
    const pings = new Map([...this.path.pings].filter(([, ping]) => ping.endpoint !== endpoint))
    if (pings.size !== this.path.pings.size) this.set({ pings })
    if (this.path.best?.leg.endpoint !== endpoint) return
    this.clearBest('unreachable')
    this.wantRelay(0)
    if (inSession(this.path) && this.#wantsDirect()) this.#round({ call: true })
  }

  /**
   * Stock clients drop every path here. Keeping the best one in doubt costs packets sent twice for a round trip, and
   * spares the detour over DERP when the path survived.
   */
  #startOver(suspicion: PathReason | undefined): void {
    this.set({ pings: new Map(), suspicion, calledAtMs: undefined, awaited: undefined, relayTries: 0 })
    // What was wrong with the ways out of the network before need not be with those of this one.
    if (suspicion === 'network-changed')
      this.set({ avoided: new Map(), sizes: new Map(), quality: new Map(), dataCheck: NO_DATA_CHECK })
    // The peer would send to where we were until it misses our answers.
    if (suspicion === 'network-changed' && inSession(this.path)) this.withdraw()
    this.#distrust()
    this.#unthrottle()
    // A place at a relay belongs to the addresses and disco keys it was taken with.
    this.wantRelay(0)
    if (!inSession(this.path)) return
    if (this.#wantsDirect()) this.#round({ call: true })
    this.#pingBest()
  }

  #probe(): void {
    if (this.#wantsDirect()) this.#unthrottle()
    this.#active()
    this.#pingBest()
  }

  /** Until the next pong, data goes to the best path and to DERP. */
  #distrust(): void {
    const { best } = this.path
    if (!best || !isTrusted(this.path, this.now)) return
    this.set({
      best: { ...best, trustedUntilMs: this.now - 1 },
      doubtAtMs: this.now + BENEFIT_OF_DOUBT_MS,
    })
  }

  /** A direct path is worth looking for. */
  #wantsDirect(): boolean {
    const { policy, best } = this.path
    if (!allowsDirect(policy) || this.hasTrustedDirect()) return false
    return !(isTrusted(this.path, this.now) && isPreferredRelay(policy, best?.relay?.node))
  }

  /** The best path keeps its candidate while it is trusted or has just been put in doubt; after that it goes with it. */
  #prune(): void {
    const { best, doubtAtMs } = this.path
    const endpoint = best?.leg.kind === 'direct' ? best.leg.endpoint : undefined
    const spared = isTrusted(this.path, this.now) || (doubtAtMs !== undefined && doubtAtMs > this.now)
    this.set({ candidates: pruned(this.path.candidates, spared ? endpoint : undefined, this.now) })
    if (endpoint !== undefined && !this.path.candidates.has(endpoint)) this.clearBest('withdrawn')
  }

  #unthrottle(): void {
    this.set({ candidates: unthrottled(this.path.candidates) })
  }

  /** Pings every candidate that was not pinged lately, and asks the peer to do the same with ours. */
  #round({ call }: { call: boolean }): void {
    this.#prune()
    let sent = 0
    for (const [endpoint, candidate] of this.path.candidates) if (this.#pingCandidate(endpoint, candidate)) sent++
    this.set({ roundAtMs: this.now })
    const { calledAtMs, candidates } = this.path
    const due = calledAtMs === undefined || this.now - calledAtMs >= DISCOVERY_MS
    // Without any candidate the call is the only way to be found.
    if (call && due && (sent > 0 || candidates.size === 0)) this.#call()
  }

  #pingCandidate(endpoint: Endpoint, candidate: Candidate): boolean {
    const promising =
      candidate.answeredAtMs !== undefined && this.now - candidate.answeredAtMs < REMEMBERED_MS && this.isFlowing()
    const pauseMs = promising && this.#wantsDirect() ? PROMISING_MS : DISCOVERY_MS
    if (candidate.pingedAtMs !== undefined && this.now - candidate.pingedAtMs < pauseMs) return false
    this.#noteUnanswered(endpoint, candidate)
    const pings = pingsLeft(this.path, this.now)
    if (pings < 1) return false
    this.set({
      allowance: { pings: pings - 1, atMs: this.now },
      candidates: new Map(this.path.candidates).set(endpoint, { ...candidate, pingedAtMs: this.now }),
    })
    this.pingLeg({ kind: 'direct', endpoint }, false)
    return true
  }

  /** A path that was in use and is looked at while another is: what it loses now counts as well. */
  #noteUnanswered(endpoint: Endpoint, { pingedAtMs, answeredAtMs }: Candidate): void {
    const { best, quality } = this.path
    if (pingedAtMs === undefined || this.now - pingedAtMs > ALIVE_MS || best?.leg.endpoint === endpoint) return
    if (quality.has(endpoint) && (answeredAtMs ?? -Infinity) < pingedAtMs) this.sample(endpoint, false)
  }

  /** `missed`: how many pings before this one got no answer in time. */
  #pingBest(missed = 0): void {
    const { best, candidates, awaited } = this.path
    if (!best) return
    // What was just asked is not asked again; but its answer is awaited all the same.
    const asked = best.leg.kind === 'direct' && candidates.get(best.leg.endpoint)?.pingedAtMs === this.now
    if (!asked) this.pingLeg(best.leg, false)
    if (awaited || !inSession(this.path)) return
    const patienceMs = Math.max(PATIENCE_MS, 3 * best.latencyMs)
    this.set({ awaited: { dueAtMs: this.now + patienceMs, missed } })
  }
}
