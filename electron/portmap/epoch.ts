// A router tells with each answer for how many seconds its table of mappings has existed. When that counts for less than
// our own clock says, the table was emptied in between: what we had is gone. Reference: RFC 6886, section 3.6.

/** Clocks of routers may be slow by an eighth, and answers late. */
const SLOWEST = 7 / 8
const SLACK_SECONDS = 2

export class Epoch {
  #last: { readonly epochSeconds: number; readonly atMs: number } | undefined

  /** True when the router lost its table since the last call. */
  note(epochSeconds: number, nowMs: number): boolean {
    const last = this.#last
    this.#last = { epochSeconds, atMs: nowMs }
    if (!last) return false
    const elapsedSeconds = (nowMs - last.atMs) / 1000
    return epochSeconds < last.epochSeconds + elapsedSeconds * SLOWEST - SLACK_SECONDS
  }
}
