// Short messages inside of the tunnel (paths.md §7.6): pings and their answers, and word of packets that were turned away.

import { randomBytes } from 'node:crypto'
import { ipToBytes } from '../base/endpoint.ts'
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { Node } from '../wire/tailcfg/node.ts'
import { readTsmp, rejection, type Tsmp, writeTsmp } from '../wire/tsmp/message.ts'

export interface TunnelMessagesOptions {
  readonly log: Logger
  readonly send: (peer: number, ipPacket: Uint8Array) => void
  readonly discoKey: Uint8Array
  /** It told that policy turned away what we sent. */
  readonly onRejected: (peer: number) => void
  /** Where this node answers requests of others inside of the tunnel; 0 for nowhere. */
  readonly peerApiPort: () => number
}

export class TunnelMessages {
  readonly #options: TunnelMessagesOptions
  /** Peers that have answered a ping. */
  readonly #answering = new Set<number>()

  constructor(options: TunnelMessagesOptions) {
    this.#options = options
  }

  /**
   * A packet in the tunnel, which makes a session at once. The peer that started anew may have made one with us before we heard of
   * it: that one is forgotten here too, and the peer would go on using it until WireGuard gives up after 15 s.
   */
  greet(id: number, peer: Node, self: Node): void {
    this.#send(id, peer, self, { kind: 'disco-key', key: this.#options.discoKey })
  }

  ask(id: number, peer: Node, self: Node): void {
    this.#send(id, peer, self, { kind: 'ping', data: randomBytes(8) })
  }

  #send(id: number, peer: Node, self: Node, message: Tsmp): void {
    const [source, destination] = [self, peer].map(({ addresses }) => ipToBytes(addresses[0]?.split('/')[0] ?? ''))
    if (source === undefined || source.length !== destination?.length) return
    this.#options.send(id, writeTsmp({ source, destination, message }))
  }

  /** Answers a ping of the data plane; other messages are read and left. */
  take(peer: number, ipPacket: Uint8Array): void {
    try {
      const { source, destination, message } = readTsmp(ipPacket)
      if (message.kind === 'rejected' && message.reason !== 'other') this.#options.onRejected(peer)
      if (message.kind === 'pong') this.#answering.add(peer)
      if (message.kind !== 'ping') return
      const pong = { kind: 'pong', data: message.data, peerApiPort: this.#options.peerApiPort() } as const
      this.#options.send(peer, writeTsmp({ source: destination, destination: source, message: pong }))
    } catch (error) {
      this.#options.log.debug('TSMP message left aside', { error: messageOf(error) })
    }
  }

  /** Whose packet policy turned away is told so: nothing else would tell it from one that was lost. */
  tellRefused(peer: number, ipPacket: Uint8Array): void {
    try {
      const told = rejection(ipPacket)
      if (told) this.#options.send(peer, writeTsmp(told))
    } catch (error) {
      this.#options.log.debug('a refused packet left aside', { error: messageOf(error) })
    }
  }

  isAnswering(peer: number): boolean {
    return this.#answering.has(peer)
  }

  keepOnly(isPresent: (peer: number) => boolean): void {
    for (const peer of this.#answering) if (!isPresent(peer)) this.#answering.delete(peer)
  }
}
