// Whether this machine's relay may serve now: looks at the clock, the month's count, the battery and the network, and says when
// that changes. What is decided from it is in relay/manners.ts.

import type { Clock } from '../base/clock.ts'
import type { RelayMannersView } from '../contract/relay-view.ts'
import {
  DEFAULT_MANNERS,
  endOfMonth,
  type Manners,
  type Metered,
  monthOf,
  type Pause,
  pauseNow,
  type PowerSource,
} from '../relay/manners.ts'
import type { RelayUsage } from './relay-usage.ts'

/** What of the machine a relay looks at. What is left out is not known. */
export interface RelaySurroundings {
  readonly usage: RelayUsage
  readonly power?: (() => Promise<PowerSource>) | undefined
  readonly metered?: (() => Promise<Metered>) | undefined
}

/** Hours and the month's count are looked at this often: a quota is passed by what is carried in two or three seconds. */
const TICK_MS = 1_000
/** The system is asked this often, and when the network changes. */
const LOOK_MS = 10_000

export interface RelayMannersOptions {
  readonly clock: Clock
  readonly surroundings: RelaySurroundings
  /** `pause` or `isReady` changed. */
  readonly onChange: () => void
}

export class RelayManners {
  readonly #options: RelayMannersOptions
  #manners: Manners | undefined
  #power: PowerSource = 'unknown'
  #metered: Metered = 'unknown'
  #pause: Pause | undefined
  #isReady = false
  #looks = 0
  #cancelTick = (): void => {}
  #cancelLook = (): void => {}

  constructor(options: RelayMannersOptions) {
    this.#options = options
  }

  /** Once the machine was looked at: nobody is to be told of a relay that pauses a moment later. */
  get isReady(): boolean {
    return this.#isReady
  }

  get pause(): Pause | undefined {
    return this.#pause
  }

  /** Undefined while no relay is wanted: nothing is looked at then. */
  configure(manners: Manners | undefined): void {
    const before = this.#manners
    this.#manners = manners
    if (!manners) {
      this.#stop()
      return
    }
    const isNew = !before
    const asksMore =
      (manners.pauseOnBattery && before?.pauseOnBattery !== true) ||
      (manners.pauseOnMetered && before?.pauseOnMetered !== true)
    if (isNew || asksMore) this.look()
    if (isNew) this.#cancelTick = this.#options.clock.after(TICK_MS, () => this.#tick())
    this.#judge()
  }

  /** Asks the system anew. */
  look(): void {
    const manners = this.#manners
    if (!manners) return
    const { power, metered } = this.#options.surroundings
    this.#cancelLook()
    const asks = [manners.pauseOnBattery && power, manners.pauseOnMetered && metered].some(Boolean)
    if (!asks) {
      this.#isReady = true
      return
    }
    const look = (this.#looks += 1)
    const asked = Promise.all([
      manners.pauseOnBattery && power ? power() : ('unknown' as const),
      manners.pauseOnMetered && metered ? metered() : ('unknown' as const),
    ])
    void asked.then(([source, network]) => {
      if (look !== this.#looks) return
      const wasReady = this.#isReady
      this.#power = source
      this.#metered = network
      this.#isReady = true
      this.#cancelLook = this.#options.clock.after(LOOK_MS, () => this.look())
      if (!this.#judge() && !wasReady) this.#options.onChange()
    })
  }

  add(bytes: number): void {
    const { clock, surroundings } = this.#options
    surroundings.usage.add(monthOf(clock.wallNow()), bytes, clock.now())
  }

  view(manners: Manners = DEFAULT_MANNERS): RelayMannersView {
    return mannersView(manners, this.#options.surroundings.usage, this.#options.clock.wallNow(), {
      power: this.#power,
      metered: this.#metered,
    })
  }

  async close(): Promise<void> {
    this.#manners = undefined
    this.#stop()
    await this.#options.surroundings.usage.save()
  }

  #stop(): void {
    this.#looks += 1
    this.#cancelTick()
    this.#cancelLook()
    this.#pause = undefined
    this.#isReady = false
    this.#power = 'unknown'
    this.#metered = 'unknown'
  }

  #tick(): void {
    this.#cancelTick = this.#options.clock.after(TICK_MS, () => this.#tick())
    this.#judge()
  }

  /** True when it told of a change. */
  #judge(): boolean {
    const manners = this.#manners
    if (!manners) return false
    const { clock, surroundings, onChange } = this.#options
    const wallMs = clock.wallNow()
    const before = this.#pause
    const pause = pauseNow(manners, {
      wallMs,
      usedBytes: surroundings.usage.bytesIn(monthOf(wallMs)),
      power: this.#power,
      metered: this.#metered,
    })
    if (pause?.reason === before?.reason && pause?.endsAt === before?.endsAt) return false
    this.#pause = pause
    onChange()
    return true
  }
}

export const mannersView = (
  manners: Manners,
  usage: RelayUsage | undefined,
  wallMs: number,
  known: { readonly power: PowerSource; readonly metered: Metered },
): RelayMannersView => ({
  ...manners,
  usedBytes: usage?.bytesIn(monthOf(wallMs)) ?? 0,
  renewsAt: endOfMonth(wallMs),
  ...known,
})
