// Addresses that have to be reached outside of the tunnel while everything else goes through it: without the coordination
// server and DERP there would be no tunnel. Their connections are made by Node, which cannot mark them as our own.

import type { Clock } from '../../base/clock.ts'
import { canonicalIp, type IpAddress } from '../../base/endpoint.ts'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/log.ts'

/** A first answer is waited for this long: the way into the tunnel must not open before the ways around it. */
const WAIT_MS = 3_000
const ASK_AGAIN_MS = 300_000
const MOST_HOSTS = 256

export interface BypassOptions {
  readonly clock: Clock
  readonly log: Logger
  /** All addresses of a name. */
  readonly resolve: (host: string) => Promise<readonly string[]>
}

export class Bypass {
  readonly #options: BypassOptions
  /** What a name was last found at; kept when it is not found any more, as nobody may be there to ask. */
  readonly #known = new Map<string, { readonly addresses: readonly IpAddress[]; readonly atMs: number }>()

  constructor(options: BypassOptions) {
    this.#options = options
  }

  /** Of names and addresses. Never rejects, and takes three seconds at most. */
  async addressesOf(hosts: Iterable<string>): Promise<readonly IpAddress[]> {
    const wanted = [...new Set(hosts)].slice(0, MOST_HOSTS)
    for (const host of this.#known.keys()) if (!wanted.includes(host)) this.#known.delete(host)
    const { clock } = this.#options
    const isOld = (host: string): boolean => clock.now() - (this.#known.get(host)?.atMs ?? -Infinity) > ASK_AGAIN_MS
    const asked = wanted.filter((host) => canonicalIp(host) === undefined && isOld(host))
    let cancel = (): void => {}
    const late = new Promise<void>((done) => (cancel = clock.after(WAIT_MS, done)))
    await Promise.race([Promise.all(asked.map((host) => this.#learn(host))), late])
    cancel()
    return [...new Set(wanted.flatMap((host) => canonicalIp(host) ?? this.#known.get(host)?.addresses ?? []))].sort()
  }

  async #learn(host: string): Promise<void> {
    const { clock, log, resolve } = this.#options
    try {
      const addresses = (await resolve(host)).flatMap((text) => canonicalIp(text) ?? [])
      if (addresses.length > 0) this.#known.set(host, { addresses, atMs: clock.now() })
    } catch (error) {
      log.debug('a name is not found', { host, error: messageOf(error) })
    }
  }
}
