// The path to one peer, as a state machine without I/O: step() takes what happened and says what to do. Timers are one
// number, nextWakeMs(). Who the peer is, keys, sealing and sockets are the driver's (path-finder.ts).

import type { Endpoint } from '../base/endpoint.ts'
import { pruned, unthrottled, usableEndpoints, withHeard, withList, usableEndpoint } from './candidates.ts'
import { MAX_CALLED_ENDPOINTS, MAX_CANDIDATES, type Candidate } from './candidates.ts'
import { dropsData, NO_DATA_CHECK, nextDataCheck } from './data-check.ts'
import { sameLeg, type UdpLeg } from './leg.ts'
import { allowsDirect, allowsRelay, isPreferredRelay, type PathPolicy, samePolicy } from './path-policy.ts'
import { avoiding, type Flaw, flawOf, flaws, forgiven, isShunned, mayLeave } from './avoidance.ts'
import { isLossy, isShaky, withSample } from './path-quality.ts'
import type { PathReason } from './path-view.ts'
import {
  type Best,
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
  DERP_PING_MS,
  DERP_WATCH_MS,
  DISCOVERY_MS,
  ECHO_MS,
  FLOW_HEARTBEAT_MS,
  FLOW_MS,
  GOOD_ENOUGH_MS,
  HEARTBEAT_MS,
  PATIENCE_MS,
  PROMISING_MS,
  RELAY_DELAY_MS,
  REMEMBERED_MS,
  SESSION_MS,
  STALLED_MS,
  TRUST_MS,
  UPGRADE_MS,
} from './peer-timing.ts'
import { pathEffects, withReason } from './path-effects.ts'
import { isAbsent, nextRelaySearch, relayPauseMs, wantsRelay } from './relay-wish.ts'
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

/** A working copy of the state during one step. */
class Draft {
  readonly #before: PeerPath
  readonly #now: number
  readonly #asked: PeerEffect[] = []
  #path: PeerPath
  #cause: PathReason | undefined

  constructor(path: PeerPath, nowMs: number) {
    this.#before = path
    this.#path = path
    this.#now = nowMs
  }

  finish(): Step {
    if (this.#path.callOwed && derpRegion(this.#path) !== undefined) this.#call()
    const path = withReason(this.#before, this.#path, this.#cause)
    return { path, effects: [...pathEffects(this.#before, path), ...this.#asked] }
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
        return this.#heardDerp(input.region)
      case 'pong':
        return this.#pong(input.ping, input.latencyMs)
      case 'derp-pong':
        this.#set({ derpLatencyMs: input.latencyMs })
        return this.#heardDerp(undefined)
      case 'call-me-maybe':
        return this.#callMeMaybe(input.endpoints)
      case 'send-error':
        return this.#sendError(input.endpoint)
      case 'network-changed':
        return this.#startOver('network-changed')
      case 'found-ourselves':
        if (inSession(this.#path) && this.#wantsDirect()) this.#call()
        return
      case 'disco-changed':
        return this.#startOver(undefined)
      case 'policy':
        return this.#policy(input.policy)
      case 'relay-ready':
        return this.#relayReady(input)
      case 'load':
        this.#set({ load: input.load })
        this.#checkSize()
        return this.#checkData()
      case 'probe':
        return this.#probe()
    }
  }

  #set(change: Partial<PeerPath>): void {
    this.#path = { ...this.#path, ...change }
  }

  #netmap(endpoints: readonly string[], home: number | undefined, relayCapable: boolean): void {
    if (this.#path.home !== home) {
      this.#cause = home === undefined ? 'no-home' : this.#path.reason === 'start' ? 'start' : 'home-changed'
      this.#set({ home, derpLatencyMs: undefined, derpPingedAtMs: undefined, ...NO_DERP_NEWS })
    }
    const listed = usableEndpoints(endpoints, MAX_CANDIDATES)
    // It may not have known its place when it was called.
    if ([...listed].some((endpoint) => !this.#path.candidates.has(endpoint))) this.#set({ calledAtMs: undefined })
    this.#set({ candidates: withList(this.#path.candidates, 'inNetmap', listed) })
    this.#prune()
    if (relayCapable !== this.#path.relayCapable) {
      this.#set({ relayCapable })
      this.#wantRelay(RELAY_DELAY_MS)
    }
    if (inSession(this.#path) && this.#wantsDirect()) this.#round({ call: true })
  }

  #active(): void {
    const fresh = !inSession(this.#path)
    const heartbeatAtMs = Math.min(this.#path.heartbeatAtMs ?? Infinity, this.#now + FLOW_HEARTBEAT_MS)
    this.#set({ activeAtMs: this.#now, heartbeatAtMs })
    if (fresh) {
      const doubtAtMs = Math.max((this.#path.best?.trustedUntilMs ?? 0) + 1, this.#now + BENEFIT_OF_DOUBT_MS)
      this.#set({ doubtAtMs, relayTries: 0 })
      this.#wantRelay(RELAY_DELAY_MS)
      // Nobody looked at this path for a while.
      if (!isTrusted(this.#path, this.#now)) this.#pingBest()
    }
    if (this.#wantsDirect()) this.#round({ call: true })
  }

  #isFlowing(): boolean {
    return this.#path.activeAtMs !== undefined && this.#now - this.#path.activeAtMs <= FLOW_MS
  }

  #tick(): void {
    this.#expirePings()
    const { best, doubtAtMs, heartbeatAtMs, activeAtMs } = this.#path
    if (heartbeatAtMs === undefined) return
    this.#lookForAnswer()
    this.#judgeSizes()
    if (best && doubtAtMs !== undefined && doubtAtMs <= this.#now && !isTrusted(this.#path, this.#now)) this.#doubt()
    this.#lookForRelay()
    if (heartbeatAtMs > this.#now) return
    if (activeAtMs === undefined || this.#now - activeAtMs > SESSION_MS) {
      const sizes = size.withoutRounds(this.#path.sizes)
      this.#set({ heartbeatAtMs: undefined, doubtAtMs: undefined, awaited: undefined, relayDueAtMs: undefined })
      this.#set({ load: NO_LOAD, sizes })
      return
    }
    this.#set({ heartbeatAtMs: this.#now + (this.#isFlowing() ? FLOW_HEARTBEAT_MS : HEARTBEAT_MS) })
    if (this.#wantsRound()) this.#round({ call: true })
    this.#pingBest()
    this.#pingDerp()
    this.#takeFlawed()
    this.#checkSize()
    if (this.#path.relayDueAtMs === undefined) this.#wantRelay(0)
  }

  /** Two answers missing in a row while data flows: the path is in doubt, long before its trust runs out. */
  #lookForAnswer(): void {
    const { awaited, best } = this.#path
    if (!awaited || awaited.dueAtMs > this.#now) return
    this.#set({ awaited: undefined })
    const stalled = this.#now - awaited.dueAtMs > STALLED_MS
    if (!best || !this.#isFlowing()) return
    if (!stalled) this.#sample(best.leg.endpoint, false)
    if (!isTrusted(this.#path, this.#now)) return
    if (stalled || awaited.missed === 0) return this.#pingBest(stalled ? 0 : 1)
    this.#set({ suspicion: 'silent', best: { ...best, trustedUntilMs: this.#now - 1 }, relayTries: 0 })
    this.#doubt()
    this.#withdraw()
    this.#round({ call: true })
    this.#wantRelay(0)
  }

  #withdraw(): void {
    if (this.#path.best?.leg.kind !== 'direct' || derpRegion(this.#path) === undefined) return
    this.#set({ calledAtMs: this.#now })
    this.#asked.push({ type: 'withdraw' })
  }

  #heardOf(): void {
    const wasAbsent = isAbsent(this.#path, this.#now)
    this.#set({ heardAtMs: this.#now })
    if (wasAbsent) this.#wantRelay(RELAY_DELAY_MS)
  }

  #lookForRelay(): void {
    const { relayDueAtMs, relayTries } = this.#path
    if (relayDueAtMs === undefined || relayDueAtMs > this.#now) return
    this.#set({ relayDueAtMs: undefined })
    if (!wantsRelay(this.#path, this.#now)) return
    const againMs = relayPauseMs(this.#path, this.#now)
    this.#set({ relayDueAtMs: this.#now + againMs, relayTries: relayTries + 1 })
    this.#asked.push({ type: 'find-relay' })
  }

  #wantRelay(inMs: number): void {
    const relayDueAtMs = nextRelaySearch(this.#path, inMs, this.#now)
    if (relayDueAtMs !== this.#path.relayDueAtMs) this.#set({ relayDueAtMs })
  }

  #expirePings(): void {
    const pings = new Map(this.#path.pings)
    for (const [number, ping] of pings) {
      if (this.#now - ping.atMs < PING_TIMEOUT_MS) break
      pings.delete(number)
      const leg = this.#path.best?.leg
      if (leg && sameLeg(leg, legOf(ping)) && !isTrusted(this.#path, this.#now))
        this.#clearBest(this.#path.suspicion ?? 'silent')
    }
    if (pings.size !== this.#path.pings.size) this.#set({ pings })
  }

  #doubt(): void {
    this.#cause = this.#path.suspicion ?? 'silent'
    this.#set({ doubtful: true })
  }

  #wantsRound(): boolean {
    const { best, roundAtMs } = this.#path
    if (this.#wantsDirect()) return true
    if (best?.leg.kind !== 'direct') return false
    if (roundAtMs === undefined) return true
    return best.latencyMs > GOOD_ENOUGH_MS && this.#now - roundAtMs >= UPGRADE_MS
  }

  #heard(endpoint: Endpoint): void {
    const usable = usableEndpoint(endpoint)
    if (usable === undefined) return
    this.#set({ candidates: withHeard(this.#path.candidates, usable, this.#now) })
    if (this.#path.candidates.size > MAX_CANDIDATES) this.#prune()
    // The peer's packet came through, so ours may too: at once, not at the next round. Our ping of a moment ago may well
    // have met a router that the peer's packet had not opened yet.
    const candidate = this.#path.candidates.get(usable)
    if (!candidate || !inSession(this.#path) || !this.#wantsDirect()) return
    if (candidate.echoedAtMs !== undefined && this.#now - candidate.echoedAtMs < ECHO_MS) return
    this.#pingCandidate(usable, { ...candidate, pingedAtMs: undefined, echoedAtMs: this.#now })
  }

  #pong(number: number, latencyMs: number): void {
    const ping = this.#path.pings.get(number)
    if (!ping) return
    const pings = new Map(this.#path.pings)
    pings.delete(number)
    this.#set({ pings })
    const leg = legOf(ping)
    this.#noteSize(leg, number, ping.full)
    this.#noteLatency(ping.endpoint, latencyMs)
    if (this.#isLeft(leg)) return
    const { best } = this.#path
    // A relay is taken into use when its handshake is done; until then, and for others' pongs, that is not our affair.
    if (leg.kind === 'relay') {
      if (best && sameLeg(best.leg, leg)) this.#adopt('answered', { leg, latencyMs, relay: best.relay })
      return
    }
    const candidate = this.#path.candidates.get(ping.endpoint)
    if (!candidate) return
    if (!allowsDirect(this.#path.policy)) return
    const trusted = isTrusted(this.#path, this.#now)
    const isLastResort = flawOf(this.#path, leg.endpoint, this.#now) !== undefined
    const isShown = trusted && sameLeg(best?.leg, leg)
    if (!isShown && !isLastResort && isShaky(this.#path.quality, leg.endpoint))
      return void this.#pingCandidate(ping.endpoint, { ...candidate, pingedAtMs: undefined })
    const wasDirect = best?.leg.kind === 'direct' && !this.#path.doubtful
    if (best && trusted && !sameLeg(best.leg, leg) && !isBetter({ leg, latencyMs }, best, this.#path.policy)) return
    this.#adopt(best && trusted && !this.#path.doubtful ? 'better' : 'answered', { leg, latencyMs })
    // A stock peer tries again once in five seconds, but at once when it is called.
    if (!wasDirect) this.#call()
  }

  #call(): void {
    const region = derpRegion(this.#path)
    this.#set({ callOwed: region === undefined })
    if (region === undefined) return
    this.#set({ calledAtMs: this.#now })
    this.#asked.push({ type: 'call-me-maybe', region })
  }

  #noteLatency(endpoint: Endpoint, latencyMs: number): void {
    const candidate = this.#path.candidates.get(endpoint)
    if (!candidate) return
    const answered = { ...candidate, latencyMs, answeredAtMs: this.#now }
    this.#set({ candidates: new Map(this.#path.candidates).set(endpoint, answered) })
  }

  /** Takes note of an answer; true when it is not to bring its path into use, or that path was left for its flaws. */
  #isLeft(leg: UdpLeg): boolean {
    const { best, awaited, quality } = this.#path
    const isBest = best !== undefined && sameLeg(best.leg, leg)
    if (isBest ? awaited : quality.has(leg.endpoint)) this.#sample(leg.endpoint, true)
    if (isBest && this.#leaveFlawed()) return true
    return isShunned(this.#path, leg.endpoint, this.#now)
  }

  #sample(endpoint: Endpoint, answered: boolean): void {
    const quality = withSample(this.#path.quality, endpoint, answered, this.#now)
    this.#set({ quality })
    // Judged by what came through: a path that is silent is another matter.
    if (!answered || !isLossy(quality, endpoint)) return
    const rest = new Map(quality)
    rest.delete(endpoint)
    this.#set({ quality: rest })
    this.#avoid(endpoint, 'lossy')
  }

  #avoid(endpoint: Endpoint, why: Flaw): void {
    this.#set({ avoided: avoiding(this.#path.avoided, endpoint, why, this.#now) })
  }

  /** Leaves the path in use if it has a flaw, for DERP that answers; asks DERP first. */
  #leaveFlawed(): boolean {
    const { best } = this.#path
    const flaw = best && flawOf(this.#path, best.leg.endpoint, this.#now)
    if (!best || flaw === undefined) return false
    if (!mayLeave(this.#path, this.#now)) {
      this.#askDerp(DERP_WATCH_MS)
      return false
    }
    if (flaw === 'data-dropped') {
      this.#withdraw()
      const trial = { endpoint: best.leg.endpoint, sinceMs: this.#now }
      this.#set({ dataCheck: { ...this.#path.dataCheck, trial } })
    }
    this.#clearBest(flaw)
    this.#wantRelay(0)
    return true
  }

  /** Rather a bad path than one that carries nothing. */
  #takeFlawed(): void {
    if (isTrusted(this.#path, this.#now) || !this.#isFlowing() || !allowsDirect(this.#path.policy)) return
    for (const endpoint of this.#path.avoided.keys()) {
      const { latencyMs, answeredAtMs = -Infinity } = this.#path.candidates.get(endpoint) ?? {}
      if (latencyMs === undefined || this.#now - answeredAtMs > ALIVE_MS) continue
      if (!isShunned(this.#path, endpoint, this.#now))
        return this.#adopt('answered', { leg: { kind: 'direct', endpoint }, latencyMs })
    }
  }

  #heardDerp(region: number | undefined): void {
    this.#set({ derpHeardAtMs: this.#now, derpOwesSinceMs: undefined })
    if (region !== undefined && this.#path.heardRegion !== region) {
      this.#cause = 'home-changed'
      this.#set({ heardRegion: region })
    }
    this.#leaveFlawed()
  }

  /** Leaves a path that answers pings and drops data. */
  #checkData(): void {
    const { best, load, dataCheck, avoided, bestSinceMs } = this.#path
    const isSure = best !== undefined && best.trustedUntilMs - TRUST_MS >= this.#now - ALIVE_MS
    const { check, ask, acquitted } = nextDataCheck(dataCheck, load, isSure || dataCheck.trial !== undefined, this.#now)
    this.#set({ dataCheck: check })
    if (ask) this.#asked.push({ type: 'ask-in-tunnel' })
    if (acquitted !== undefined) this.#set({ avoided: forgiven(avoided, acquitted) })
    if (!isSure || !inSession(this.#path)) return
    const { endpoint } = best.leg
    if (flawOf(this.#path, endpoint, this.#now) !== undefined) return
    if (!dropsData(check, load, { endpoint, forMs: this.#now - bestSinceMs, avoided })) return
    this.#avoid(endpoint, 'data-dropped')
    this.#leaveFlawed()
  }

  /** Asks for full packets what is worth asking: the path in use, and those that lost them. */
  #checkSize(): void {
    const { best, load } = this.#path
    if (!inSession(this.#path)) return
    const flaw = best && flawOf(this.#path, best.leg.endpoint, this.#now)
    const isSure = best !== undefined && isTrusted(this.#path, this.#now) && (this.#isFlowing() || load.isStarved)
    if (isSure && flaw !== 'large-lost' && size.isSizeDue(this.#path.sizes.get(best.leg.endpoint), load, this.#now))
      this.#askSize(best)
    for (const [endpoint, { why }] of this.#path.avoided) {
      const check = this.#path.sizes.get(endpoint)
      if (why !== 'large-lost') continue
      if (!check || (check.leg.kind === 'direct' && !this.#path.candidates.has(endpoint)))
        this.#set({ avoided: forgiven(this.#path.avoided, endpoint) })
      else if (size.isRetryDue(check, this.#now)) {
        this.#set({ sizes: size.withRetry(this.#path.sizes, check.leg, this.#now) })
        this.#pingLeg(check.leg, true)
      }
    }
  }
  #askSize({ leg, latencyMs }: Pick<Best, 'leg' | 'latencyMs'>): void {
    const full = this.#pingLeg(leg, true)
    const small = this.#pingLeg(leg, false)
    this.#set({ sizes: size.withAsked(this.#path.sizes, leg, { full, small, latencyMs }, this.#now) })
  }

  #noteSize(leg: UdpLeg, ping: number, full: boolean): void {
    const { sizes, avoided } = this.#path
    if (!full) return this.#set({ sizes: size.withSmallAnswer(sizes, leg, ping) })
    this.#set({ sizes: size.withFullAnswer(sizes, leg, this.#now) })
    if (avoided.get(leg.endpoint)?.why === 'large-lost') this.#set({ avoided: forgiven(avoided, leg.endpoint) })
  }

  #judgeSizes(): void {
    for (const check of this.#path.sizes.values()) {
      if (!check.round || check.round.dueAtMs > this.#now) continue
      const { best } = this.#path
      const { verdict, checks } = size.judged(this.#path.sizes, check, this.#now)
      this.#set({ sizes: checks })
      const isSame = best && sameLeg(best.leg, check.leg) && isTrusted(this.#path, this.#now)
      if (!isSame || this.#now - check.round.dueAtMs > STALLED_MS) this.#set({ sizes: size.withoutRounds(checks) })
      else if (verdict === 'again') this.#askSize(best)
      else if (verdict === 'lost') {
        this.#avoid(check.leg.endpoint, 'large-lost')
        this.#leaveFlawed()
      }
    }
  }

  #relayReady({ endpoint, vni, relay, latencyMs }: Extract<PeerInput, { type: 'relay-ready' }>): void {
    const { best, policy } = this.#path
    if (!allowsRelay(policy, relay.node) || isShunned(this.#path, endpoint, this.#now)) return
    const next = { leg: { kind: 'relay', endpoint, vni } as const, latencyMs, relay }
    const same = best?.leg.kind === 'relay' && best.relay?.server === relay.server
    if (best && !same && isTrusted(this.#path, this.#now) && !isBetter(next, best, policy)) return
    this.#adopt('relay', next)
    this.#set({ relayTries: 0, relayDueAtMs: undefined })
    this.#wantRelay(0)
  }

  /** A path that has just answered becomes the best one. */
  #adopt(cause: PathReason, next: Omit<Best, 'trustedUntilMs'>): void {
    this.#cause = cause
    const trustedUntilMs = this.#now + TRUST_MS
    const same = this.#path.best && sameLeg(this.#path.best.leg, next.leg)
    this.#set({
      best: { ...next, trustedUntilMs },
      doubtful: false,
      doubtAtMs: trustedUntilMs + 1,
      suspicion: undefined,
      awaited: undefined,
      ...(same ? {} : { relayTries: 0, bestSinceMs: this.#now }),
    })
  }

  #policy(policy: PathPolicy): void {
    if (samePolicy(policy, this.#path.policy)) return
    this.#cause = 'policy'
    this.#set({ policy, relayTries: 0, relayDueAtMs: undefined })
    const { best } = this.#path
    const allowed = !best || (best.leg.kind === 'direct' ? allowsDirect(policy) : allowsRelay(policy, best.relay?.node))
    if (!allowed) this.#clearBest('policy')
    if (!inSession(this.#path)) return
    this.#unthrottle()
    this.#wantRelay(0)
    if (this.#wantsDirect()) this.#round({ call: true })
  }

  #callMeMaybe(endpoints: readonly string[]): void {
    const usable = usableEndpoints(endpoints, MAX_CALLED_ENDPOINTS)
    this.#set({ candidates: withList(this.#path.candidates, 'called', usable) })
    // The peer has no path to us, and where we send is not among its places: it may have moved.
    const { best } = this.#path
    if (best?.leg.kind === 'direct' && !usable.has(best.leg.endpoint)) this.#distrust()
    this.#unthrottle()
    // No CallMeMaybe in return: two peers would call each other for ever.
    this.#round({ call: false })
  }

  #sendError(endpoint: Endpoint): void {
    const pings = new Map([...this.#path.pings].filter(([, ping]) => ping.endpoint !== endpoint))
    if (pings.size !== this.#path.pings.size) this.#set({ pings })
    if (this.#path.best?.leg.endpoint !== endpoint) return
    this.#clearBest('unreachable')
    this.#wantRelay(0)
    if (inSession(this.#path) && this.#wantsDirect()) this.#round({ call: true })
  }

  /**
   * Stock clients drop every path here. Keeping the best one in doubt costs packets sent twice for a round trip, and
   * spares the detour over DERP when the path survived.
   */
  #startOver(suspicion: PathReason | undefined): void {
    this.#set({ pings: new Map(), suspicion, calledAtMs: undefined, awaited: undefined, relayTries: 0 })
    // What was wrong with the ways out of the network before need not be with those of this one.
    if (suspicion === 'network-changed')
      this.#set({ avoided: new Map(), sizes: new Map(), quality: new Map(), dataCheck: NO_DATA_CHECK })
    // The peer would send to where we were until it misses our answers.
    if (suspicion === 'network-changed' && inSession(this.#path)) this.#withdraw()
    this.#distrust()
    this.#unthrottle()
    // A place at a relay belongs to the addresses and disco keys it was taken with.
    this.#wantRelay(0)
    if (!inSession(this.#path)) return
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
    const { best } = this.#path
    if (!best || !isTrusted(this.#path, this.#now)) return
    this.#set({
      best: { ...best, trustedUntilMs: this.#now - 1 },
      doubtAtMs: this.#now + BENEFIT_OF_DOUBT_MS,
    })
  }

  #hasTrustedDirect(): boolean {
    return this.#path.best?.leg.kind === 'direct' && isTrusted(this.#path, this.#now)
  }

  /** A direct path is worth looking for. */
  #wantsDirect(): boolean {
    const { policy, best } = this.#path
    if (!allowsDirect(policy) || this.#hasTrustedDirect()) return false
    return !(isTrusted(this.#path, this.#now) && isPreferredRelay(policy, best?.relay?.node))
  }

  #clearBest(cause: PathReason): void {
    this.#cause = cause
    this.#set({ best: undefined, doubtful: false, doubtAtMs: undefined, suspicion: undefined, awaited: undefined })
  }

  /** The best path keeps its candidate while it is trusted or has just been put in doubt; after that it goes with it. */
  #prune(): void {
    const { best, doubtAtMs } = this.#path
    const endpoint = best?.leg.kind === 'direct' ? best.leg.endpoint : undefined
    const spared = isTrusted(this.#path, this.#now) || (doubtAtMs !== undefined && doubtAtMs > this.#now)
    this.#set({ candidates: pruned(this.#path.candidates, spared ? endpoint : undefined, this.#now) })
    if (endpoint !== undefined && !this.#path.candidates.has(endpoint)) this.#clearBest('withdrawn')
  }

  #unthrottle(): void {
    this.#set({ candidates: unthrottled(this.#path.candidates) })
  }

  /** Pings every candidate that was not pinged lately, and asks the peer to do the same with ours. */
  #round({ call }: { call: boolean }): void {
    this.#prune()
    let sent = 0
    for (const [endpoint, candidate] of this.#path.candidates) if (this.#pingCandidate(endpoint, candidate)) sent++
    this.#set({ roundAtMs: this.#now })
    const { calledAtMs, candidates } = this.#path
    const due = calledAtMs === undefined || this.#now - calledAtMs >= DISCOVERY_MS
    // Without any candidate the call is the only way to be found.
    if (call && due && (sent > 0 || candidates.size === 0)) this.#call()
  }

  #pingCandidate(endpoint: Endpoint, candidate: Candidate): boolean {
    const promising =
      candidate.answeredAtMs !== undefined && this.#now - candidate.answeredAtMs < REMEMBERED_MS && this.#isFlowing()
    const pauseMs = promising && this.#wantsDirect() ? PROMISING_MS : DISCOVERY_MS
    if (candidate.pingedAtMs !== undefined && this.#now - candidate.pingedAtMs < pauseMs) return false
    this.#noteUnanswered(endpoint, candidate)
    const pings = pingsLeft(this.#path, this.#now)
    if (pings < 1) return false
    this.#set({
      allowance: { pings: pings - 1, atMs: this.#now },
      candidates: new Map(this.#path.candidates).set(endpoint, { ...candidate, pingedAtMs: this.#now }),
    })
    this.#pingLeg({ kind: 'direct', endpoint }, false)
    return true
  }

  /** A path that was in use and is looked at while another is: what it loses now counts as well. */
  #noteUnanswered(endpoint: Endpoint, { pingedAtMs, answeredAtMs }: Candidate): void {
    const { best, quality } = this.#path
    if (pingedAtMs === undefined || this.#now - pingedAtMs > ALIVE_MS || best?.leg.endpoint === endpoint) return
    if (quality.has(endpoint) && (answeredAtMs ?? -Infinity) < pingedAtMs) this.#sample(endpoint, false)
  }

  /** `missed`: how many pings before this one got no answer in time. */
  #pingBest(missed = 0): void {
    const { best, candidates, awaited } = this.#path
    if (!best) return
    // What was just asked is not asked again; but its answer is awaited all the same.
    const asked = best.leg.kind === 'direct' && candidates.get(best.leg.endpoint)?.pingedAtMs === this.#now
    if (!asked) this.#pingLeg(best.leg, false)
    if (awaited || !inSession(this.#path)) return
    const patienceMs = Math.max(PATIENCE_MS, 3 * best.latencyMs)
    this.#set({ awaited: { dueAtMs: this.#now + patienceMs, missed } })
  }

  #pingLeg(leg: UdpLeg, full: boolean): number {
    const ping = this.#path.nextPing
    const { endpoint } = leg
    const vni = leg.kind === 'relay' ? leg.vni : undefined
    const pings = new Map(this.#path.pings).set(ping, { endpoint, vni, atMs: this.#now, full })
    this.#set({ pings, nextPing: ping + 1 })
    this.#asked.push({ type: 'ping', ping, endpoint, vni, full })
    return ping
  }

  /** The round trip over DERP, for show; and a peer that answers there is alive. */
  #pingDerp(): void {
    if (this.#hasTrustedDirect()) return
    const isWatched = this.#isFlowing() && !isTrusted(this.#path, this.#now) && flaws(this.#path, this.#now).length > 0
    this.#askDerp(isWatched ? DERP_WATCH_MS : DERP_PING_MS)
  }

  #askDerp(pauseMs: number): void {
    const region = derpRegion(this.#path)
    const { derpPingedAtMs, derpOwesSinceMs } = this.#path
    if (region === undefined || (derpPingedAtMs !== undefined && this.#now - derpPingedAtMs < pauseMs)) return
    this.#set({ derpPingedAtMs: this.#now, derpOwesSinceMs: derpOwesSinceMs ?? this.#now })
    this.#asked.push({ type: 'derp-ping', region })
  }
}
