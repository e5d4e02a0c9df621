// The pings on their way, by txId: what a pong must match.

import { randomBytes } from 'node:crypto'
import { toHex } from '../base/bytes.ts'
import type { Endpoint } from '../base/endpoint.ts'
import { TX_ID_BYTES } from '../wire/disco/ping.ts'
import { PING_TIMEOUT_MS } from './peer-state.ts'

/** Far above what the peers' allowances add up to in practice; the oldest go first. */
const MOST_PINGS = 20_000

export type SentBy =
  | { readonly kind: 'direct'; readonly endpoint: Endpoint; readonly ping: number }
  /** `ping` is undefined for one that belongs to the handshake with the relay. */
  | { readonly kind: 'relay'; readonly endpoint: Endpoint; readonly vni: number; readonly ping: number | undefined }
  | { readonly kind: 'derp'; readonly region: number }

export interface SentPing {
  readonly peer: number
  readonly by: SentBy
  readonly sentAtMs: number
}

export class PingTable {
  /** Oldest first. */
  readonly #pings = new Map<string, SentPing>()

  /** Remembers a ping and returns its new, unguessable txId. */
  add(ping: SentPing): Uint8Array {
    for (const [txId, { sentAtMs }] of this.#pings) {
      if (ping.sentAtMs - sentAtMs < PING_TIMEOUT_MS && this.#pings.size < MOST_PINGS) break
      this.#pings.delete(txId)
    }
    const txId = new Uint8Array(randomBytes(TX_ID_BYTES))
    this.#pings.set(toHex(txId), ping)
    return txId
  }

  /** The ping that a pong answers, once: of one of `peers`, by the same kind of way that the pong came. */
  take(txId: Uint8Array, kind: SentBy['kind'], peers: (peer: number) => boolean): SentPing | undefined {
    const name = toHex(txId)
    const ping = this.#pings.get(name)
    if (!ping || ping.by.kind !== kind || !peers(ping.peer)) return undefined
    this.#pings.delete(name)
    return ping
  }

  forgetPeer(peer: number): void {
    for (const [txId, ping] of this.#pings) if (ping.peer === peer) this.#pings.delete(txId)
  }

  get size(): number {
    return this.#pings.size
  }
}
