import type { Clock } from '../base/clock.ts'
import type { Problem } from '../contract/snapshot.ts'
import type { DerpRegionStatus } from '../derp/derp-pool.ts'

/** A home DERP connection that is away is worth a warning only when it stays so. */
const GRACE_MS = 10_000

/** Whether others can find us: tells when our home DERP server stays away. */
export class HomeDerpWatch {
  readonly #clock: Clock
  readonly #regionCode: (region: number) => string
  #awaySinceMs: number | undefined
  #problem: Problem | undefined

  constructor(clock: Clock, regionCode: (region: number) => string) {
    this.#clock = clock
    this.#regionCode = regionCode
  }

  get problem(): Problem | undefined {
    return this.#problem
  }

  /** True while it makes sense to look again although nothing was told. */
  get isAway(): boolean {
    return this.#awaySinceMs !== undefined
  }

  take(status: readonly DerpRegionStatus[]): void {
    const home = status.find(({ isHome }) => isHome)
    if (!home || home.connected) {
      this.#awaySinceMs = undefined
      this.#problem = undefined
      return
    }
    this.#awaySinceMs ??= this.#clock.now()
    if (this.#clock.now() - this.#awaySinceMs < GRACE_MS) return
    const region = this.#regionCode(home.region)
    this.#problem = {
      code: home.errorCode ?? 'derp/unreachable',
      message:
        `The DERP server ${region} cannot be reached: machines without a direct path are cut off. ${home.errorText ?? ''}`.trim(),
    }
  }
}
