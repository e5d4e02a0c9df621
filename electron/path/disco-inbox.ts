// What arrives as disco: opened, checked and handed to whom it concerns (paths.md §1.5). Authenticates first; nothing is
// believed of a sender that is not a peer, or a relay we are in touch with. What is refused is counted by its reason.

import type { Endpoint } from '../base/endpoint.ts'
import type { SharedBox } from '../crypto/box.ts'
import type { DiscoPublic, NodePublic } from '../crypto/keys.ts'
import { WireError } from '../wire/codec.ts'
import type { AllocateRequest } from '../wire/disco/allocate-request.ts'
import { discoSender, openDisco } from '../wire/disco/envelope.ts'
import type { DiscoMessage } from '../wire/disco/message.ts'
import type { Pong } from '../wire/disco/pong.ts'
import { MAX_CALLED_ENDPOINTS } from './candidates.ts'
import type { PeerInput } from './peer-input.ts'
import type { DiscoName, PeerTable } from './peer-table.ts'
import type { SentBy } from './ping-table.ts'
import type { RelayClient, RelayPeer } from './relay-client.ts'

/** In pongs over DERP, where an ip:port is expected: this address, with the region as port (tailscale tailcfg.DerpMagicIP). */
const DERP_MAGIC_IP = '127.3.3.40'

export interface Arrival {
  readonly from: Endpoint
  /** Set when the packet came through a peer relay. */
  readonly vni: number | undefined
  readonly bytes: Uint8Array
  readonly receivedAtMs: number
}

interface InboxPeer<P extends RelayPeer> extends RelayPeer {
  readonly nodeKey: NodePublic
  disco: DiscoName<P> | undefined
  readonly relayCapable: boolean
  padsPings: boolean
}

/** Whom it concerns. */
export interface InboxListener<P> {
  give(peer: P, input: PeerInput): void
  /** Small pings of the peer from there get no answer. */
  refuses(peer: P, from: Endpoint): boolean
  pong(sender: DiscoName<P>, pong: Pong, kind: SentBy['kind'], receivedAtMs: number): void
  answerUdp(to: DiscoName<P>, message: DiscoMessage, at: Endpoint, vni: number | undefined): void
  answerDerp(to: DiscoName<P>, message: DiscoMessage, region: number, node: NodePublic): void
  relayRequest(from: NodePublic, fromDisco: DiscoPublic, request: AllocateRequest): void
}

export class DiscoInbox<P extends InboxPeer<P>> {
  readonly #peers: PeerTable<P>
  readonly #relays: RelayClient<P>
  readonly #to: InboxListener<P>
  readonly #counters = new Map<string, number>()

  constructor(peers: PeerTable<P>, relays: RelayClient<P>, to: InboxListener<P>) {
    this.#peers = peers
    this.#relays = relays
    this.#to = to
  }

  /** What was refused, by reason. */
  get counters(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counters)
  }

  count(what: string): void {
    this.#counters.set(what, (this.#counters.get(what) ?? 0) + 1)
  }

  /** A disco packet from the UDP socket. Authenticates first; nothing is believed of a sender that is not a peer. */
  takeUdp(packet: Arrival): void {
    const opened = this.#open(packet.bytes)
    if (!opened) return
    const { sender, message } = opened
    const { from, vni, receivedAtMs } = packet
    switch (message.kind) {
      case 'ping': {
        const peers = this.#claimants(sender, message.nodeKey)
        if (peers.length === 0) return this.count('disco.node-key')
        const pong: DiscoMessage = { kind: 'pong', txId: message.txId, source: from }
        if (message.paddingBytes > 0) for (const peer of peers) peer.padsPings = true
        // Full ones are always answered: they test the peer's own direction.
        if (message.paddingBytes > 0 || !peers.some((peer) => this.#to.refuses(peer, from)))
          this.#to.answerUdp(sender, pong, from, vni)
        else this.count('disco.refused')
        // A relay's endpoint is not the peer's: relay paths have their own discovery.
        for (const peer of peers)
          if (vni === undefined) this.#to.give(peer, { type: 'heard', endpoint: from })
          else this.#relays.notePing(peer, vni)
        return
      }
      case 'pong':
        return this.#to.pong(sender, message, vni === undefined ? 'direct' : 'relay', receivedAtMs)
      default:
        // CallMeMaybe and allocation only come over DERP, the relay's own messages with the control bit.
        return this.count(`disco.unexpected.${message.kind}`)
    }
  }

  /** A packet of a relay itself, by the control bit of its header: only a Challenge of one we are in touch with counts. */
  takeControl({ from, vni, bytes }: Arrival): void {
    const server = discoSender(bytes)
    if (!server || vni === undefined) return this.count('relay.not-whole')
    for (const box of this.#relays.boxesFor(server, vni)) {
      const message = this.#read(bytes, box)
      if (message?.kind === 'bindChallenge' && message.vni === vni && this.#relays.takeChallenge(server, from, message))
        return
    }
    this.count('relay.unasked')
  }

  /** A disco packet out of DERP. The server vouches for `fromNode`, the box for the disco key; both must be one peer. */
  takeDerp(region: number, fromNode: NodePublic, bytes: Uint8Array, receivedAtMs: number): void {
    const opened = this.#open(bytes)
    if (!opened) return
    const { sender, message } = opened
    const peer = this.#peers.byNode(fromNode)
    if (!peer || peer.disco !== sender) return this.count('disco.derp-source')
    this.#to.give(peer, { type: 'heard-derp', region })
    switch (message.kind) {
      case 'ping': {
        if (message.nodeKey && !message.nodeKey.equals(fromNode)) return this.count('disco.node-key')
        const pong: DiscoMessage = { kind: 'pong', txId: message.txId, source: `${DERP_MAGIC_IP}:${region}` }
        this.#to.answerDerp(sender, pong, region, fromNode)
        return
      }
      case 'pong':
        return this.#to.pong(sender, message, 'derp', receivedAtMs)
      case 'callMeMaybe':
        return this.#to.give(peer, {
          type: 'call-me-maybe',
          endpoints: message.endpoints.slice(0, MAX_CALLED_ENDPOINTS),
        })
      case 'callMeMaybeVia':
        if (!peer.relayCapable || !this.#relays.takeVia(peer, message.relay)) this.count('relay.via-refused')
        return
      case 'allocateResponse':
        if (!this.#relays.takeResponse(fromNode, message)) this.count('relay.unasked-response')
        return
      case 'allocateRequest':
        if (message.clientDisco.some((key) => key.equals(sender.key)))
          this.#to.relayRequest(fromNode, sender.key, message)
        else this.count('relay.request-for-others')
        return
      default:
        return this.count(`disco.unexpected.${message.kind}`)
    }
  }

  /** The peers that a ping can be of: one when it names a node key that has this disco key, none when it names another. */
  #claimants(sender: DiscoName<P>, nodeKey: NodePublic | undefined): readonly P[] {
    const all = [...sender.peers]
    return nodeKey ? all.filter((peer) => peer.nodeKey.equals(nodeKey)) : all
  }

  #open(bytes: Uint8Array): { sender: DiscoName<P>; message: DiscoMessage } | undefined {
    const key = discoSender(bytes)
    const sender = key && this.#peers.byDisco(key)
    if (!sender) {
      this.count(key ? 'disco.unknown-sender' : 'disco.not-whole')
      return undefined
    }
    const message = this.#read(bytes, sender.box)
    return message && { sender, message }
  }

  /** Undefined for what does not open or mean anything, which is counted. */
  #read(bytes: Uint8Array, box: SharedBox): DiscoMessage | undefined {
    try {
      const message = openDisco(bytes, box)
      if (!message) this.count('disco.sealed-otherwise')
      return message
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      this.count(error.code === 'wire/unknown' ? 'disco.unknown-message' : 'disco.malformed')
      return undefined
    }
  }
}
