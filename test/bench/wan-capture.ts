// Which way the datagrams of a flow really take, told by what crosses the wan: direct between the two routers, or by way of
// the relay. What goes over DERP is neither.

import type { Lab } from '../lab/lab.ts'
import { until, type LabProcess } from '../lab/process.ts'
import { DATAGRAM_BYTES } from './udp-flow.ts'

export type Way = 'direct' | 'relay'

export class WanCapture {
  readonly #process: LabProcess
  /** Of the two sites whose clients talk. */
  readonly #routers: readonly [string, string]
  readonly #relay: string

  constructor(process: LabProcess, routers: readonly [string, string], relay: string) {
    this.#process = process
    this.#routers = routers
    this.#relay = relay
  }

  static async start(lab: Lab, relay: string): Promise<WanCapture> {
    const [a, b] = [lab.site(0).router.wanAddress, lab.site(1).router.wanAddress]
    const process = await lab.capture(`udp and greater ${DATAGRAM_BYTES}`, {}, ['-tt', '-q'])
    return new WanCapture(process, [a, b], relay)
  }

  /** When both ends sent by that way after `sinceMs`, in wall-clock ms; undefined while they did not. */
  bothOnMs(way: Way, sinceMs: number): number | undefined {
    const first: (number | undefined)[] = [undefined, undefined]
    for (const [, seconds, from, to] of this.#process.stdout.matchAll(/^(\d+\.\d+) IP (\S+)\.\d+ > (\S+)\.\d+:/gm)) {
      const atMs = Number(seconds) * 1000
      const side = this.#routers.indexOf(from ?? '')
      if (atMs <= sinceMs || side < 0) continue
      const isThere = way === 'relay' ? to === this.#relay : to === this.#routers[1 - side]
      if (isThere) first[side] ??= atMs
    }
    const [one, other] = first
    return one === undefined || other === undefined ? undefined : Math.max(one, other)
  }

  /** The same, waited for; Infinity when it does not happen in time. */
  async untilBothOn(way: Way, sinceMs: number, timeoutMs: number): Promise<number> {
    return until(() => Promise.resolve(this.bothOnMs(way, sinceMs)), {
      timeoutMs,
      everyMs: 100,
      what: way,
    }).catch(() => Infinity)
  }
}
