// What leaves as disco: sealed for the peer it is meant for, over the way it is meant to go. Counterpart of disco-inbox.ts.

import type { Clock } from '../base/clock.ts'
import type { Endpoint } from '../base/endpoint.ts'
import type { SharedBox } from '../crypto/box.ts'
import type { DiscoPrivate, NodePublic } from '../crypto/keys.ts'
import { sealDisco } from '../wire/disco/envelope.ts'
import type { DiscoMessage } from '../wire/disco/message.ts'
import type { PathIo } from './path-io.ts'
import type { DiscoName } from './peer-table.ts'
import { PingTable, type SentBy } from './ping-table.ts'

export interface OutboxPeer<P> {
  readonly id: number
  readonly nodeKey: NodePublic
  disco: DiscoName<P> | undefined
}

export interface OutboxOptions {
  readonly clock: Clock
  readonly nodeKey: NodePublic
  readonly discoKey: DiscoPrivate
  readonly io: Pick<PathIo, 'sendUdp' | 'sendDerp'>
}

export class DiscoOutbox<P extends OutboxPeer<P>> {
  /** Those on their way. */
  readonly pings = new PingTable()
  readonly #options: OutboxOptions

  constructor(options: OutboxOptions) {
    this.#options = options
  }

  /** The errno name when it could not be sent; undefined also for a peer without a disco key, who gets none. */
  ping(peer: P, by: SentBy, paddingBytes = 0): string | undefined {
    if (!peer.disco) return undefined
    const { clock, io, nodeKey, discoKey } = this.#options
    // The first box of a peer costs an X25519; make it before the time is taken.
    const { box } = peer.disco
    const txId = this.pings.add({ peer: peer.id, by, sentAtMs: clock.now() })
    const bytes = sealDisco(discoKey.public, box, { kind: 'ping', txId, nodeKey, paddingBytes })
    if (by.kind === 'derp') {
      io.sendDerp(by.region, peer.nodeKey, bytes)
      return undefined
    }
    return by.kind === 'direct'
      ? io.sendUdp(by.endpoint, bytes)
      : io.sendUdp(by.endpoint, bytes, { vni: by.vni, control: false })
  }

  overUdp(to: DiscoName<P>, message: DiscoMessage, at: Endpoint, vni: number | undefined): void {
    this.#options.io.sendUdp(at, this.#seal(to.box, message), vni === undefined ? undefined : { vni, control: false })
  }

  overDerp(to: DiscoName<P>, message: DiscoMessage, region: number, node: NodePublic): void {
    this.#options.io.sendDerp(region, node, this.#seal(to.box, message))
  }

  /** To a relay itself. */
  toRelay(at: Endpoint, vni: number, box: SharedBox, message: DiscoMessage): void {
    this.#options.io.sendUdp(at, this.#seal(box, message), { vni, control: true })
  }

  #seal(box: SharedBox, message: DiscoMessage): Uint8Array {
    return sealDisco(this.#options.discoKey.public, box, message)
  }
}
