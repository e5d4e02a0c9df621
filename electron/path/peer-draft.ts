// A working copy of the state of one peer's path during a step, and the changes of it that several parts make.

import { sameLeg, type UdpLeg } from './leg.ts'
import type { PathReason } from './path-view.ts'
import { type Best, derpRegion, isTrusted, type PeerPath } from './peer-state.ts'
import type { PeerEffect } from './peer-input.ts'
import { FLOW_MS, TRUST_MS } from './peer-timing.ts'
import { nextRelaySearch } from './relay-wish.ts'

export class PeerDraft {
  protected readonly before: PeerPath
  protected readonly now: number
  /** What is to be done beside what follows from comparing the path before and after. */
  protected readonly asked: PeerEffect[] = []
  protected path: PeerPath
  protected cause: PathReason | undefined

  constructor(path: PeerPath, nowMs: number) {
    this.before = path
    this.path = path
    this.now = nowMs
  }

  protected set(change: Partial<PeerPath>): void {
    this.path = { ...this.path, ...change }
  }

  protected isFlowing(): boolean {
    return this.path.activeAtMs !== undefined && this.now - this.path.activeAtMs <= FLOW_MS
  }

  protected wantRelay(inMs: number): void {
    const relayDueAtMs = nextRelaySearch(this.path, inMs, this.now)
    if (relayDueAtMs !== this.path.relayDueAtMs) this.set({ relayDueAtMs })
  }

  protected withdraw(): void {
    if (this.path.best?.leg.kind !== 'direct' || derpRegion(this.path) === undefined) return
    this.set({ calledAtMs: this.now })
    this.asked.push({ type: 'withdraw' })
  }

  protected clearBest(cause: PathReason): void {
    this.cause = cause
    this.set({ best: undefined, doubtful: false, doubtAtMs: undefined, suspicion: undefined, awaited: undefined })
  }

  /** A path that has just answered becomes the best one. */
  protected adopt(cause: PathReason, next: Omit<Best, 'trustedUntilMs'>): void {
    this.cause = cause
    const trustedUntilMs = this.now + TRUST_MS
    const same = this.path.best && sameLeg(this.path.best.leg, next.leg)
    this.set({
      best: { ...next, trustedUntilMs },
      doubtful: false,
      doubtAtMs: trustedUntilMs + 1,
      suspicion: undefined,
      awaited: undefined,
      ...(same ? {} : { relayTries: 0, bestSinceMs: this.now }),
    })
  }

  protected pingLeg(leg: UdpLeg, full: boolean): number {
    const ping = this.path.nextPing
    const { endpoint } = leg
    const vni = leg.kind === 'relay' ? leg.vni : undefined
    const pings = new Map(this.path.pings).set(ping, { endpoint, vni, atMs: this.now, full })
    this.set({ pings, nextPing: ping + 1 })
    this.asked.push({ type: 'ping', ping, endpoint, vni, full })
    return ping
  }

  protected askDerp(pauseMs: number): void {
    const region = derpRegion(this.path)
    const { derpPingedAtMs, derpOwesSinceMs } = this.path
    if (region === undefined || (derpPingedAtMs !== undefined && this.now - derpPingedAtMs < pauseMs)) return
    this.set({ derpPingedAtMs: this.now, derpOwesSinceMs: derpOwesSinceMs ?? this.now })
    this.asked.push({ type: 'derp-ping', region })
  }

  protected hasTrustedDirect(): boolean {
    return this.path.best?.leg.kind === 'direct' && isTrusted(this.path, this.now)
  }
}
