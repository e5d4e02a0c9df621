// The path to one peer, as a state machine without I/O: step() takes what happened and says what to do. Timers are one
// number, nextWakeMs(). Who the peer is, keys, sealing and sockets are the driver's (path-finder.ts).
//
// States after paths.md §5.3: no best path (S0: data goes to DERP); a trusted direct one (S1); a trusted peer relay (S2,
// its place is UdpLeg's 'relay'); a best path past its trust (S3: the data plane sends to it and to DERP).

import type { Endpoint } from '../base/endpoint.ts'
import { pruned, usableEndpoints, withHeard, withList, usableEndpoint } from './candidates.ts'
import { MAX_CALLED_ENDPOINTS, MAX_CANDIDATES, type Candidate, type Candidates } from './candidates.ts'
import { sameLeg, type Leg, type PathSpec, type UdpLeg } from './leg.ts'
import type { PathReason } from './path-view.ts'
import { isBetter } from './score.ts'

/**
 * How long a direct path is trusted after its last pong. Many home routers forget an idle UDP mapping after about 30 s
 * (RFC 4787 REQ-5 asks for 120 s and is widely ignored), so this must stay well below that. Two heartbeats and a bit.
 */
export const TRUST_MS = 6_500
export const HEARTBEAT_MS = 3_000
/** Heartbeats and discovery go on this long after the last data packet. */
export const SESSION_MS = 45_000
export const PING_TIMEOUT_MS = 5_000
/** Between two discovery pings to one candidate, and between two CallMeMaybe. */
export const DISCOVERY_MS = 5_000
/** A working direct path this slow or slower is compared with the other candidates once in UPGRADE_MS. */
const GOOD_ENOUGH_MS = 5
const UPGRADE_MS = 60_000
/** How long a path whose trust ran out while nobody looked is shown as it was, once someone looks again. */
const BENEFIT_OF_DOUBT_MS = 1_000
/** Between two pings back to an endpoint that the peer pings us from. */
const ECHO_MS = 1_000
const DERP_PING_MS = 15_000
/**
 * The most pings a peer can make us send: this many at once, then PINGS_PER_SECOND. An honest peer has some ten
 * candidates, each pinged once in five seconds; a hostile one may send CallMeMaybe as fast as DERP carries it.
 */
export const PING_BURST = 200
export const PINGS_PER_SECOND = 20

export interface Best {
  readonly leg: UdpLeg
  readonly latencyMs: number
  readonly trustedUntilMs: number
}

interface SentPing {
  readonly endpoint: Endpoint
  readonly atMs: number
}

export interface PeerPath {
  readonly candidates: Candidates
  readonly best: Best | undefined
  /** The best path is not shown as the path any more: its trust ran out while traffic wanted it. */
  readonly doubtful: boolean
  readonly doubtAtMs: number | undefined
  /** Why the best path is in doubt, when it is not for its silence. */
  readonly suspicion: PathReason | undefined
  readonly home: number | undefined
  /** The region where the peer was last heard: the last resort when its home is unknown. */
  readonly heardRegion: number | undefined
  readonly derpLatencyMs: number | undefined
  readonly derpPingedAtMs: number | undefined
  /** Outstanding pings by number, oldest first. */
  readonly pings: ReadonlyMap<number, SentPing>
  readonly nextPing: number
  readonly allowance: { readonly pings: number; readonly atMs: number }
  readonly activeAtMs: number | undefined
  /** Present only during a session. */
  readonly heartbeatAtMs: number | undefined
  readonly roundAtMs: number | undefined
  readonly calledAtMs: number | undefined
  readonly reason: PathReason
}

export type PeerInput =
  | { readonly type: 'netmap'; readonly endpoints: readonly string[]; readonly home: number | undefined }
  /** Data was sent to the peer, or wants to be. */
  | { readonly type: 'active' }
  | { readonly type: 'tick' }
  /** An authenticated packet of the peer came from there. */
  | { readonly type: 'heard'; readonly endpoint: Endpoint }
  | { readonly type: 'heard-derp'; readonly region: number }
  | { readonly type: 'pong'; readonly ping: number; readonly latencyMs: number }
  | { readonly type: 'derp-pong'; readonly latencyMs: number }
  | { readonly type: 'call-me-maybe'; readonly endpoints: readonly string[] }
  /** A send failed in a way that no retry mends. */
  | { readonly type: 'send-error'; readonly endpoint: Endpoint }
  /** Our sockets or our network are new: what is known is worth a try, but nothing is certain. */
  | { readonly type: 'network-changed' }
  /** The peer has a new disco key: it restarted, or lives elsewhere. */
  | { readonly type: 'disco-changed' }
  /** Someone asks for a ping over whatever path there is. */
  | { readonly type: 'probe' }

export type PeerEffect =
  | { readonly type: 'ping'; readonly ping: number; readonly endpoint: Endpoint }
  | { readonly type: 'derp-ping'; readonly region: number }
  | { readonly type: 'call-me-maybe'; readonly region: number }
  | { readonly type: 'path'; readonly spec: PathSpec }
  /** Only ever later than before. */
  | { readonly type: 'trust'; readonly untilMs: number }
  /** The path as shown is another one; the state's reason says why. */
  | { readonly type: 'changed' }

export interface Step {
  readonly path: PeerPath
  readonly effects: readonly PeerEffect[]
}

export function newPeerPath(nowMs: number): PeerPath {
  return {
    candidates: new Map(),
    best: undefined,
    doubtful: false,
    doubtAtMs: undefined,
    suspicion: undefined,
    home: undefined,
    heardRegion: undefined,
    derpLatencyMs: undefined,
    derpPingedAtMs: undefined,
    pings: new Map(),
    nextPing: 1,
    allowance: { pings: PING_BURST, atMs: nowMs },
    activeAtMs: undefined,
    heartbeatAtMs: undefined,
    roundAtMs: undefined,
    calledAtMs: undefined,
    reason: 'start',
  }
}

export const derpRegion = (path: PeerPath): number | undefined => path.home ?? path.heardRegion
export const isTrusted = (path: PeerPath, nowMs: number): boolean =>
  path.best !== undefined && nowMs <= path.best.trustedUntilMs
export const inSession = (path: PeerPath): boolean => path.heartbeatAtMs !== undefined

/** The leg to show to people: one, also while the data plane uses two. */
export function shownLeg(path: PeerPath): Leg | undefined {
  const region = derpRegion(path)
  if (path.best && (!path.doubtful || region === undefined)) return path.best.leg
  return region === undefined ? undefined : { kind: 'derp', region }
}

export function pathSpec(path: PeerPath): PathSpec {
  const region = derpRegion(path)
  const derp: Leg | undefined = region === undefined ? undefined : { kind: 'derp', region }
  return path.best
    ? { leg: path.best.leg, fallback: derp, trustedUntilMs: path.best.trustedUntilMs }
    : { leg: derp, fallback: undefined, trustedUntilMs: Infinity }
}

/** When the next 'tick' is due; undefined when nothing waits. */
export function nextWakeMs(path: PeerPath): number | undefined {
  const due: number[] = []
  if (path.heartbeatAtMs !== undefined) due.push(path.heartbeatAtMs)
  for (const { atMs } of path.pings.values()) {
    due.push(atMs + PING_TIMEOUT_MS)
    break
  }
  if (inSession(path) && path.best && !path.doubtful && path.doubtAtMs !== undefined) due.push(path.doubtAtMs)
  return due.length === 0 ? undefined : Math.min(...due)
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

  /** What to tell the data plane follows from comparing before and after, so that the two can never disagree. */
  finish(): Step {
    const changed = !sameLeg(shownLeg(this.#before), shownLeg(this.#path))
    const reason = changed ? (this.#cause ?? this.#path.reason) : this.#path.reason
    const path = reason === this.#path.reason ? this.#path : { ...this.#path, reason }
    const was = pathSpec(this.#before)
    const is = pathSpec(path)
    const effects: PeerEffect[] = []
    const lessTrusted = is.trustedUntilMs < was.trustedUntilMs
    if (lessTrusted || !sameLeg(was.leg, is.leg) || !sameLeg(was.fallback, is.fallback))
      effects.push({ type: 'path', spec: is })
    else if (was.trustedUntilMs !== is.trustedUntilMs) effects.push({ type: 'trust', untilMs: is.trustedUntilMs })
    if (changed) effects.push({ type: 'changed' })
    effects.push(...this.#asked)
    return { path, effects }
  }

  take(input: PeerInput): void {
    switch (input.type) {
      case 'netmap':
        return this.#netmap(input.endpoints, input.home)
      case 'active':
        return this.#active()
      case 'tick':
        return this.#tick()
      case 'heard':
        return this.#heard(input.endpoint)
      case 'heard-derp':
        if (this.#path.heardRegion !== input.region) {
          this.#cause = 'home-changed'
          this.#set({ heardRegion: input.region })
        }
        return
      case 'pong':
        return this.#pong(input.ping, input.latencyMs)
      case 'derp-pong':
        return this.#set({ derpLatencyMs: input.latencyMs })
      case 'call-me-maybe':
        return this.#callMeMaybe(input.endpoints)
      case 'send-error':
        return this.#sendError(input.endpoint)
      case 'network-changed':
        return this.#startOver('network-changed')
      case 'disco-changed':
        return this.#startOver(undefined)
      case 'probe':
        return this.#probe()
    }
  }

  #set(change: Partial<PeerPath>): void {
    this.#path = { ...this.#path, ...change }
  }

  #netmap(endpoints: readonly string[], home: number | undefined): void {
    if (this.#path.home !== home) {
      this.#cause = home === undefined ? 'no-home' : this.#path.reason === 'start' ? 'start' : 'home-changed'
      this.#set({ home, derpLatencyMs: undefined, derpPingedAtMs: undefined })
    }
    this.#set({ candidates: withList(this.#path.candidates, 'inNetmap', usableEndpoints(endpoints, MAX_CANDIDATES)) })
    this.#prune()
    if (inSession(this.#path) && !this.#hasTrustedDirect()) this.#round({ call: true })
  }

  #active(): void {
    const fresh = !inSession(this.#path)
    this.#set({ activeAtMs: this.#now })
    if (fresh) {
      const doubtAtMs = Math.max((this.#path.best?.trustedUntilMs ?? 0) + 1, this.#now + BENEFIT_OF_DOUBT_MS)
      this.#set({ heartbeatAtMs: this.#now + HEARTBEAT_MS, doubtAtMs })
    }
    if (!this.#hasTrustedDirect()) this.#round({ call: true })
  }

  #tick(): void {
    this.#expirePings()
    const { best, doubtAtMs, heartbeatAtMs, activeAtMs } = this.#path
    if (heartbeatAtMs === undefined) return
    if (best && doubtAtMs !== undefined && doubtAtMs <= this.#now && !isTrusted(this.#path, this.#now)) this.#doubt()
    if (heartbeatAtMs > this.#now) return
    if (activeAtMs === undefined || this.#now - activeAtMs > SESSION_MS) {
      this.#set({ heartbeatAtMs: undefined, doubtAtMs: undefined })
      return
    }
    this.#set({ heartbeatAtMs: this.#now + HEARTBEAT_MS })
    if (this.#wantsRound()) this.#round({ call: true })
    this.#pingBest()
    this.#pingDerp()
  }

  #expirePings(): void {
    const pings = new Map(this.#path.pings)
    for (const [number, ping] of pings) {
      if (this.#now - ping.atMs < PING_TIMEOUT_MS) break
      pings.delete(number)
      if (ping.endpoint === this.#path.best?.leg.endpoint && !isTrusted(this.#path, this.#now))
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
    if (!best || !this.#hasTrustedDirect() || roundAtMs === undefined) return true
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
    if (!candidate || !inSession(this.#path) || this.#hasTrustedDirect()) return
    if (candidate.echoedAtMs !== undefined && this.#now - candidate.echoedAtMs < ECHO_MS) return
    this.#pingCandidate(usable, { ...candidate, pingedAtMs: undefined, echoedAtMs: this.#now })
  }

  #pong(number: number, latencyMs: number): void {
    const ping = this.#path.pings.get(number)
    if (!ping) return
    const pings = new Map(this.#path.pings)
    pings.delete(number)
    this.#set({ pings })
    const candidate = this.#path.candidates.get(ping.endpoint)
    if (!candidate) return
    this.#set({ candidates: new Map(this.#path.candidates).set(ping.endpoint, { ...candidate, latencyMs }) })
    const leg = { kind: 'direct', endpoint: ping.endpoint } as const
    const now = this.#path.best
    const trusted = isTrusted(this.#path, this.#now)
    if (now && trusted && !sameLeg(now.leg, leg) && !isBetter({ leg, latencyMs }, now)) return
    this.#cause = now && trusted && !this.#path.doubtful ? 'better' : 'answered'
    const trustedUntilMs = this.#now + TRUST_MS
    this.#set({
      best: { leg, latencyMs, trustedUntilMs },
      doubtful: false,
      doubtAtMs: trustedUntilMs + 1,
      suspicion: undefined,
    })
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
    if (inSession(this.#path)) this.#round({ call: true })
  }

  /**
   * Stock clients drop every path here. Keeping the best one in doubt costs packets sent twice for a round trip, and
   * spares the detour over DERP when the path survived.
   */
  #startOver(suspicion: PathReason | undefined): void {
    this.#set({ pings: new Map(), suspicion, calledAtMs: undefined })
    this.#distrust()
    this.#unthrottle()
    if (inSession(this.#path)) this.#round({ call: true })
  }

  #probe(): void {
    if (!this.#hasTrustedDirect()) this.#unthrottle()
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

  #clearBest(cause: PathReason): void {
    this.#cause = cause
    this.#set({ best: undefined, doubtful: false, doubtAtMs: undefined, suspicion: undefined })
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
    const candidates = new Map<Endpoint, Candidate>()
    for (const [endpoint, candidate] of this.#path.candidates)
      candidates.set(endpoint, { ...candidate, pingedAtMs: undefined })
    this.#set({ candidates })
  }

  /** Pings every candidate that was not pinged lately, and asks the peer to do the same with ours. */
  #round({ call }: { call: boolean }): void {
    this.#prune()
    let sent = 0
    for (const [endpoint, candidate] of this.#path.candidates) if (this.#pingCandidate(endpoint, candidate)) sent++
    this.#set({ roundAtMs: this.#now })
    const region = derpRegion(this.#path)
    const { calledAtMs, candidates } = this.#path
    const due = calledAtMs === undefined || this.#now - calledAtMs >= DISCOVERY_MS
    // Without any candidate the call is the only way to be found.
    if (!call || region === undefined || !due || (sent === 0 && candidates.size > 0)) return
    this.#set({ calledAtMs: this.#now })
    this.#asked.push({ type: 'call-me-maybe', region })
  }

  #pingCandidate(endpoint: Endpoint, candidate: Candidate): boolean {
    if (candidate.pingedAtMs !== undefined && this.#now - candidate.pingedAtMs < DISCOVERY_MS) return false
    const { allowance } = this.#path
    const earned = ((this.#now - allowance.atMs) / 1000) * PINGS_PER_SECOND
    const pings = Math.min(PING_BURST, allowance.pings + earned)
    if (pings < 1) return false
    this.#set({
      allowance: { pings: pings - 1, atMs: this.#now },
      candidates: new Map(this.#path.candidates).set(endpoint, { ...candidate, pingedAtMs: this.#now }),
    })
    this.#ping(endpoint)
    return true
  }

  #pingBest(): void {
    const { best, candidates } = this.#path
    if (best?.leg.kind !== 'direct' || candidates.get(best.leg.endpoint)?.pingedAtMs === this.#now) return
    this.#ping(best.leg.endpoint)
  }

  #ping(endpoint: Endpoint): void {
    const number = this.#path.nextPing
    const pings = new Map(this.#path.pings).set(number, { endpoint, atMs: this.#now })
    this.#set({ pings, nextPing: number + 1 })
    this.#asked.push({ type: 'ping', ping: number, endpoint })
  }

  /** The round trip over DERP, for show; and a peer that answers there is alive. */
  #pingDerp(): void {
    const region = derpRegion(this.#path)
    const { derpPingedAtMs } = this.#path
    if (region === undefined || this.#hasTrustedDirect()) return
    if (derpPingedAtMs !== undefined && this.#now - derpPingedAtMs < DERP_PING_MS) return
    this.#set({ derpPingedAtMs: this.#now })
    this.#asked.push({ type: 'derp-ping', region })
  }
}
