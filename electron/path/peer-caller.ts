// Calls peers over DERP (CallMeMaybe): "ping me here, now". And takes a dead direct path away from them.
//
// A stock peer believes in a direct path for 6.5 s after its last pong, and sends on it alone until then. Of the endpoints
// that a call once named and the next one does not, it lets go at once, also of the one in use; that is the only way to make
// it turn to DERP sooner. Reference: tailscale wgengine/magicsock/endpoint.go, handleCallMeMaybe.

import type { Endpoint } from '../base/endpoint.ts'
import { MAX_CALLED_ENDPOINTS } from './candidates.ts'

/** Places where one peer saw us lately; there is one for each family, and more while a router changes its mind. */
const MOST_SEEN = 4

export interface CallerOptions<P> {
  /** Resolves once our own endpoints are worth telling; undefined when they are. */
  readonly freshen: () => Promise<void> | undefined
  readonly endpoints: () => readonly Endpoint[]
  /** Over DERP; drops what cannot be sent. */
  readonly send: (peer: P, endpoints: readonly Endpoint[]) => void
}

export class PeerCaller<P extends object> {
  readonly #options: CallerOptions<P>
  readonly #calling = new WeakSet<P>()
  /** Newest last. */
  readonly #seen = new WeakMap<P, readonly Endpoint[]>()

  constructor(options: CallerOptions<P>) {
    this.#options = options
  }

  /** Where our ping came from as the peer saw it: there it sends to us, also where no STUN server sees the same. */
  noteSeen(peer: P, at: Endpoint): void {
    const before = this.#seen.get(peer) ?? []
    if (before.at(-1) !== at) this.#seen.set(peer, [...before.filter((other) => other !== at), at].slice(-MOST_SEEN))
  }

  /** Peers that are called ping at once, and only what the call lists: so look where we are first, if that is old. */
  call(peer: P): void {
    if (this.#calling.has(peer)) return
    const wait = this.#options.freshen()
    if (!wait) return this.#callNow(peer)
    this.#calling.add(peer)
    void wait.then(() => {
      this.#calling.delete(peer)
      this.#callNow(peer)
    })
  }

  /** Names all places where the peer may think us to be, then none, then those where we are. */
  withdraw(peer: P): void {
    const { send, endpoints } = this.#options
    send(peer, [...new Set([...(this.#seen.get(peer) ?? []), ...endpoints()])].slice(0, MAX_CALLED_ENDPOINTS))
    send(peer, [])
    this.call(peer)
  }

  #callNow(peer: P): void {
    const endpoints = this.#options.endpoints().slice(0, MAX_CALLED_ENDPOINTS)
    if (endpoints.length > 0) this.#options.send(peer, endpoints)
  }
}
