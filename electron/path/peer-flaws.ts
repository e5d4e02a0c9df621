// The part of a step that judges paths which answer: what they do to small packets, to large ones and to data, and what is
// left, kept or taken for it.

import type { Endpoint } from '../base/endpoint.ts'
import { avoiding, type Flaw, flawOf, flaws, forgiven, isShunned, mayLeave } from './avoidance.ts'
import { dropsData, nextDataCheck } from './data-check.ts'
import { sameLeg, type UdpLeg } from './leg.ts'
import { allowsDirect } from './path-policy.ts'
import { isLossy, withSample } from './path-quality.ts'
import { PeerDraft } from './peer-draft.ts'
import { type Best, inSession, isTrusted } from './peer-state.ts'
import { ALIVE_MS, DERP_PING_MS, DERP_WATCH_MS, STALLED_MS, TRUST_MS } from './peer-timing.ts'
import * as size from './size-check.ts'

export class FlawDraft extends PeerDraft {
  /** Takes note of an answer; true when it is not to bring its path into use, or that path was left for its flaws. */
  protected isLeft(leg: UdpLeg): boolean {
    const { best, awaited, quality } = this.path
    const isBest = best !== undefined && sameLeg(best.leg, leg)
    if (isBest ? awaited : quality.has(leg.endpoint)) this.sample(leg.endpoint, true)
    if (isBest && this.#leaveFlawed()) return true
    return isShunned(this.path, leg.endpoint, this.now)
  }

  protected sample(endpoint: Endpoint, answered: boolean): void {
    const quality = withSample(this.path.quality, endpoint, answered, this.now)
    this.set({ quality })
    // Judged by what came through: a path that is silent is another matter.
    if (!answered || !isLossy(quality, endpoint)) return
    const rest = new Map(quality)
    rest.delete(endpoint)
    this.set({ quality: rest })
    this.#avoid(endpoint, 'lossy')
  }

  #avoid(endpoint: Endpoint, why: Flaw): void {
    this.set({ avoided: avoiding(this.path.avoided, endpoint, why, this.now) })
  }

  /** Leaves the path in use if it has a flaw, for DERP that answers; asks DERP first. */
  #leaveFlawed(): boolean {
    const { best } = this.path
    const flaw = best && flawOf(this.path, best.leg.endpoint, this.now)
    if (!best || flaw === undefined) return false
    if (!mayLeave(this.path, this.now)) {
      this.askDerp(DERP_WATCH_MS)
      return false
    }
    if (flaw === 'data-dropped') {
      const trial = { endpoint: best.leg.endpoint, sinceMs: this.now }
      this.set({ dataCheck: { ...this.path.dataCheck, trial } })
    }
    this.clearBest(flaw)
    this.wantRelay(0)
    return true
  }

  /** Rather a bad path than one that carries nothing. */
  protected takeFlawed(): void {
    if (isTrusted(this.path, this.now) || !this.isFlowing() || !allowsDirect(this.path.policy)) return
    for (const endpoint of this.path.avoided.keys()) {
      const { latencyMs, answeredAtMs = -Infinity } = this.path.candidates.get(endpoint) ?? {}
      if (latencyMs === undefined || this.now - answeredAtMs > ALIVE_MS) continue
      if (!isShunned(this.path, endpoint, this.now))
        return this.adopt('answered', { leg: { kind: 'direct', endpoint }, latencyMs })
    }
  }

  protected heardDerp(region: number | undefined): void {
    this.set({ derpHeardAtMs: this.now, derpOwesSinceMs: undefined })
    if (region !== undefined && this.path.heardRegion !== region) {
      this.cause = 'home-changed'
      this.set({ heardRegion: region })
    }
    this.#leaveFlawed()
  }

  /** Leaves a path that answers pings and drops data. */
  protected checkData(): void {
    const { best, load, dataCheck, avoided, bestSinceMs } = this.path
    const isSure = best !== undefined && best.trustedUntilMs - TRUST_MS >= this.now - ALIVE_MS
    const { check, ask, acquitted } = nextDataCheck(dataCheck, load, isSure || dataCheck.trial !== undefined, this.now)
    this.set({ dataCheck: check })
    if (ask) this.asked.push({ type: 'ask-in-tunnel' })
    if (acquitted !== undefined) this.set({ avoided: forgiven(avoided, acquitted) })
    if (!isSure || !inSession(this.path)) return
    const { endpoint } = best.leg
    if (flawOf(this.path, endpoint, this.now) !== undefined) return
    if (!dropsData(check, load, { endpoint, forMs: this.now - bestSinceMs, avoided })) return
    this.#avoid(endpoint, 'data-dropped')
    this.#leaveFlawed()
  }

  /** Asks for full packets what is worth asking: the path in use, and those that lost them. */
  protected checkSize(): void {
    const { best, load } = this.path
    if (!inSession(this.path)) return
    const flaw = best && flawOf(this.path, best.leg.endpoint, this.now)
    const isSure = best !== undefined && isTrusted(this.path, this.now) && (this.isFlowing() || load.isStarved)
    if (isSure && flaw !== 'large-lost' && size.isSizeDue(this.path.sizes.get(best.leg.endpoint), load, this.now))
      this.#askSize(best)
    for (const [endpoint, { why }] of this.path.avoided) {
      const check = this.path.sizes.get(endpoint)
      if (why !== 'large-lost') continue
      if (!check || (check.leg.kind === 'direct' && !this.path.candidates.has(endpoint)))
        this.set({ avoided: forgiven(this.path.avoided, endpoint) })
      else if (size.isRetryDue(check, this.now)) {
        this.set({ sizes: size.withRetry(this.path.sizes, check.leg, this.now) })
        this.pingLeg(check.leg, true)
      }
    }
  }

  #askSize({ leg, latencyMs }: Pick<Best, 'leg' | 'latencyMs'>): void {
    const full = this.pingLeg(leg, true)
    const small = this.pingLeg(leg, false)
    this.set({ sizes: size.withAsked(this.path.sizes, leg, { full, small, latencyMs }, this.now) })
  }

  protected noteSize(leg: UdpLeg, ping: number, full: boolean): void {
    const { sizes, avoided } = this.path
    if (!full) return this.set({ sizes: size.withSmallAnswer(sizes, leg, ping) })
    this.set({ sizes: size.withFullAnswer(sizes, leg, this.now) })
    if (avoided.get(leg.endpoint)?.why === 'large-lost') this.set({ avoided: forgiven(avoided, leg.endpoint) })
  }

  protected judgeSizes(): void {
    for (const check of this.path.sizes.values()) {
      if (!check.round || check.round.dueAtMs > this.now) continue
      const { best } = this.path
      if (!best || !sameLeg(best.leg, check.leg) || !isTrusted(this.path, this.now)) {
        this.set({ sizes: size.withoutRounds(this.path.sizes) })
        continue
      }
      // Whoever was busy asks once more, without counting.
      if (this.now - check.round.dueAtMs > STALLED_MS) {
        this.#askSize(best)
        continue
      }
      const { verdict, checks } = size.judged(this.path.sizes, check, this.now)
      this.set({ sizes: checks })
      if (verdict === 'again') this.#askSize(best)
      else if (verdict === 'lost') {
        this.#avoid(check.leg.endpoint, 'large-lost')
        this.#leaveFlawed()
      }
    }
  }

  /** The round trip over DERP, for show; and a peer that answers there is alive. */
  protected pingDerp(): void {
    if (this.hasTrustedDirect()) return
    const isWatched = this.isFlowing() && !isTrusted(this.path, this.now) && flaws(this.path, this.now).length > 0
    this.askDerp(isWatched ? DERP_WATCH_MS : DERP_PING_MS)
  }
}
