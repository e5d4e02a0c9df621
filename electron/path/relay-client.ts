// Our side of peer relays (paths.md §6.5 to 6.7): asks relays for a place for us and a peer, tells the peer of it, and brings
// the handshake with each place to the point where the peer's answer comes through it. What to do with a working relay path
// is the peer's state machine's (peer-path.ts).

import type { Clock } from '../base/clock.ts'
import { isLoopback, splitEndpoint, type Endpoint } from '../base/endpoint.ts'
import type { Logger } from '../base/log.ts'
import type { SharedBox } from '../crypto/box.ts'
import type { DiscoPublic, NodePublic } from '../crypto/keys.ts'
import type { AllocateResponse } from '../wire/disco/allocate-response.ts'
import type { BindChallenge } from '../wire/disco/bind-challenge.ts'
import type { DiscoMessage } from '../wire/disco/message.ts'
import type { RelayEndpoint } from '../wire/disco/relay-endpoint.ts'
import { usableEndpoint } from './candidates.ts'
import type { RelayName } from './path-policy.ts'
import {
  beginHandshake,
  stepHandshake,
  type Handshake,
  type HandshakeEffect,
  type HandshakeInput,
} from './relay-handshake.ts'

/** Relays asked in one search; with more, those that are nearest by what was measured go first. */
const MOST_ASKED = 8
/** Addresses of one relay that are tried. Real ones offer a handful; each costs six packets at most. */
const MOST_ADDRESSES = 12
/** When a request is sent again, and when it is given up. DERP may drop one of them. */
const ASK_AGAIN_MS = [800, 2_200] as const
const ASK_GIVE_UP_MS = 7_000
/** When a peer is told of the place again, as long as it does not show up there. */
const TELL_AGAIN_MS = [900, 2_500] as const
/** Handshakes that one peer can make us begin: this many at once, then one in BEGIN_EVERY_MS. */
const MOST_BEGUN = 12
const BEGIN_EVERY_MS = 2_000
/** After this many pings the peer should long have been there. */
const LATE_TRIES = 5
const MOST_NAMES = 256

export interface RelayServer {
  readonly nodeKey: NodePublic
  /** This node itself. */
  readonly isSelf: boolean
}

export interface RelayPeer {
  readonly id: number
  readonly nodeKey: NodePublic
  readonly disco: { readonly key: DiscoPublic; readonly box: SharedBox } | undefined
}

/** Where the way to a relay ended. */
export type RelayFailureStep =
  /** The relaying node left our requests unanswered: it is offline, relays no more, or does not let us. */
  | 'no-answer'
  /** Its relay's socket did not answer: its port cannot be reached from here. */
  | 'no-challenge'
  /** We reached the relay, but the peer never came through it. */
  | 'no-pong'

export interface RelayFailure {
  /** The relaying node's key as text; undefined when only the peer knows whose the relay is. */
  readonly node: string | undefined
  readonly step: RelayFailureStep
  readonly atMs: number
}

export interface RelayReady {
  readonly endpoint: Endpoint
  readonly vni: number
  readonly relay: RelayName
  readonly latencyMs: number
}

export interface RelayClientOptions<P extends RelayPeer> {
  readonly clock: Clock
  readonly log: Logger
  readonly ourDisco: DiscoPublic
  readonly boxFor: (server: DiscoPublic) => SharedBox
  /** Sends a control message to a relay's socket. */
  readonly sendControl: (to: Endpoint, vni: number, box: SharedBox, message: DiscoMessage) => void
  /** Sends a ping to the peer through the relay at `to`. */
  readonly sendPing: (peer: P, to: Endpoint, vni: number) => void
  /** Sends a message to another node over DERP; false when the node is unknown. */
  readonly sendOverDerp: (node: NodePublic, message: DiscoMessage) => boolean
  /** The place that this node's own relay gives; undefined when it gives none. */
  readonly allocateOwn: ((pair: readonly [DiscoPublic, DiscoPublic]) => Promise<RelayEndpoint | undefined>) | undefined
  /** Whether the peer's best path is trusted and is this very place: a new handshake could only break it. */
  readonly isInUse: (peer: P, server: string, vni: number) => boolean
  readonly onReady: (peer: P, ready: RelayReady) => void
}

interface Asked<P> {
  readonly peer: P
  readonly server: NodePublic
  readonly generation: number
  cancel: () => void
}

interface Work<P> {
  readonly peer: P
  readonly relay: RelayEndpoint
  readonly generation: number
  readonly box: SharedBox
  handshake: Handshake
  cancel: () => void
  cancelTelling: () => void
}

export class RelayClient<P extends RelayPeer> {
  readonly #options: RelayClientOptions<P>
  #servers: readonly RelayServer[] = []
  /** By peer and relaying node. */
  readonly #asked = new Map<string, Asked<P>>()
  /** By peer and the relay's server key. */
  readonly #works = new Map<string, Work<P>>()
  /** Which node a server key belongs to; learned from its own answers. */
  readonly #names = new Map<string, string>()
  /** By relaying node: the last round trip through it, to ask the near ones first. */
  readonly #roundTrips = new Map<string, number>()
  /** By peer, then relay: how the last attempt ended, when it failed. */
  readonly #failures = new Map<number, Map<string, RelayFailure>>()
  readonly #begun = new Map<number, { tokens: number; atMs: number }>()
  #generation = 0

  constructor(options: RelayClientOptions<P>) {
    this.#options = options
  }

  setServers(servers: readonly RelayServer[]): void {
    this.#servers = servers
    const known = new Set(servers.map(({ nodeKey }) => nodeKey.text))
    for (const node of this.#roundTrips.keys()) if (!known.has(node)) this.#roundTrips.delete(node)
  }

  get sizes(): { readonly asked: number; readonly works: number } {
    return { asked: this.#asked.size, works: this.#works.size }
  }

  nodeOf(server: string): string | undefined {
    return this.#names.get(server)
  }

  /** The relays of which the last attempt for this peer failed. */
  failures(id: number): readonly RelayFailure[] {
    return [...(this.#failures.get(id)?.values() ?? [])]
  }

  #noteEnd(peer: P, name: string, node: string | undefined, step: RelayFailureStep | undefined): void {
    const failures = this.#failures.get(peer.id) ?? new Map<string, RelayFailure>()
    const before = failures.get(name)
    // A place that nobody took in time is forgotten by the relay, which then answers no Bind either.
    if (step === 'no-challenge' && before?.step === 'no-pong' && this.#options.clock.now() - before.atMs < 60_000)
      return
    failures.delete(name)
    if (step) failures.set(name, { node, step, atMs: this.#options.clock.now() })
    for (const oldest of failures.keys()) {
      if (failures.size <= MOST_ASKED) break
      failures.delete(oldest)
    }
    if (failures.size > 0) this.#failures.set(peer.id, failures)
    else this.#failures.delete(peer.id)
  }

  /** Asks the relays for a place for us and `peer`; `only` is one node key's text. */
  find(peer: P, only?: string): void {
    if (!peer.disco) return
    const near = ({ nodeKey }: RelayServer): number => this.#roundTrips.get(nodeKey.text) ?? 10_000
    const servers = this.#servers
      .filter(({ nodeKey }) => (only === undefined || nodeKey.text === only) && !nodeKey.equals(peer.nodeKey))
      .toSorted((a, b) => near(a) - near(b))
      .slice(0, MOST_ASKED)
    for (const server of servers) this.#ask(peer, server)
  }

  /** The peer left, or has another disco key: places were for the old one. */
  forget(peer: P): void {
    for (const [name, asked] of this.#asked) if (asked.peer === peer) this.#stopAsking(name, asked)
    for (const [name, work] of this.#works) if (work.peer === peer) this.#stop(name, work)
    this.#begun.delete(peer.id)
    this.#failures.delete(peer.id)
  }

  close(): void {
    for (const [name, asked] of this.#asked) this.#stopAsking(name, asked)
    for (const [name, work] of this.#works) this.#stop(name, work)
  }

  #ask(peer: P, server: RelayServer): void {
    const name = `${peer.id} ${server.nodeKey.text}`
    const { clock, allocateOwn, sendOverDerp } = this.#options
    const pair = this.#pairWith(peer)
    if (this.#asked.has(name) || !pair) return
    const asked: Asked<P> = { peer, server: server.nodeKey, generation: this.#nextGeneration(), cancel: () => {} }
    if (server.isSelf) {
      void allocateOwn?.(pair).then((relay) => {
        if (relay && peer.disco) this.#take(peer, relay, server.nodeKey.text)
      })
      return
    }
    const send = (): boolean =>
      sendOverDerp(server.nodeKey, { kind: 'allocateRequest', clientDisco: pair, generation: asked.generation })
    if (!send()) return
    this.#asked.set(name, asked)
    const again = ASK_AGAIN_MS.map((ms) => clock.after(ms, () => void send()))
    const giveUp = clock.after(ASK_GIVE_UP_MS, () => {
      this.#stopAsking(name, asked)
      const { text } = server.nodeKey
      this.#noteEnd(peer, text, text, 'no-answer')
    })
    asked.cancel = () => {
      for (const cancel of again) cancel()
      giveUp()
    }
  }

  #stopAsking(name: string, asked: Asked<P>): void {
    asked.cancel()
    this.#asked.delete(name)
  }

  /** A relaying node's answer over DERP. False when nobody asked for it. */
  takeResponse(from: NodePublic, { generation, relay }: AllocateResponse): boolean {
    for (const [name, asked] of this.#asked) {
      if (asked.generation !== generation || !asked.server.equals(from)) continue
      if (!this.#isOurs(asked.peer, relay)) return false
      this.#stopAsking(name, asked)
      this.#take(asked.peer, relay, from.text)
      return true
    }
    return false
  }

  /** The peer tells of a place. Stock clients believe it whatever it names; here it must be for the two of us. */
  takeVia(peer: P, relay: RelayEndpoint): boolean {
    if (!this.#isOurs(peer, relay) || !this.#mayBegin(peer)) return false
    this.#take(peer, relay, undefined)
    return true
  }

  #isOurs(peer: P, { clientDisco }: RelayEndpoint): boolean {
    const pair = this.#pairWith(peer)
    if (!pair) return false
    const [one, other] = clientDisco
    return (one.equals(pair[0]) && other.equals(pair[1])) || (one.equals(pair[1]) && other.equals(pair[0]))
  }

  #pairWith(peer: P): readonly [DiscoPublic, DiscoPublic] | undefined {
    const { ourDisco } = this.#options
    const theirs = peer.disco?.key
    if (!theirs) return undefined
    return Buffer.compare(ourDisco.bytes, theirs.bytes) < 0 ? [ourDisco, theirs] : [theirs, ourDisco]
  }

  /** `node` is set when the relay itself gave us the place: then the peer has to be told. */
  #take(peer: P, relay: RelayEndpoint, node: string | undefined): void {
    const server = relay.serverDisco.text
    if (node !== undefined) this.#learnName(server, node)
    const name = `${peer.id} ${server}`
    const old = this.#works.get(name)
    const via: DiscoMessage = { kind: 'callMeMaybeVia', relay }
    const tell = (): boolean => node !== undefined && this.#options.sendOverDerp(peer.nodeKey, via)
    if (old && relay.lamportId <= old.relay.lamportId) {
      // We are at it already: the peer told us of it first, or had no need of it when we told. It may have by now.
      if (relay.lamportId === old.relay.lamportId) tell()
      return
    }
    if (old) this.#stop(name, old)
    tell()
    if (this.#options.isInUse(peer, server, relay.vni)) return
    const endpoints = addressesToTry(relay.endpoints)
    if (endpoints.length === 0) return
    const { clock } = this.#options
    const { handshake, effects } = beginHandshake(endpoints, clock.now())
    const telling = node === undefined ? [] : TELL_AGAIN_MS.map((ms) => clock.after(ms, () => void tell()))
    const work: Work<P> = {
      peer,
      relay,
      generation: this.#nextGeneration(),
      box: this.#options.boxFor(relay.serverDisco),
      handshake,
      cancel: () => {},
      cancelTelling: () => {
        for (const cancel of telling) cancel()
      },
    }
    this.#works.set(name, work)
    for (const effect of effects) this.#do(name, work, effect)
    this.#arm(name, work)
  }

  #learnName(server: string, node: string): void {
    this.#names.delete(server)
    this.#names.set(server, node)
    for (const oldest of this.#names.keys()) {
      if (this.#names.size <= MOST_NAMES) break
      this.#names.delete(oldest)
    }
  }

  #mayBegin(peer: P): boolean {
    const nowMs = this.#options.clock.now()
    const { tokens, atMs } = this.#begun.get(peer.id) ?? { tokens: MOST_BEGUN, atMs: nowMs }
    const left = Math.min(MOST_BEGUN, tokens + (nowMs - atMs) / BEGIN_EVERY_MS)
    this.#begun.set(peer.id, { tokens: left < 1 ? left : left - 1, atMs: nowMs })
    return left >= 1
  }

  /** The works whose relay may have sent a control packet, with the box to open it. */
  boxesFor(server: DiscoPublic, vni: number): readonly SharedBox[] {
    return [...this.#works.values()]
      .filter(({ relay }) => relay.vni === vni && relay.serverDisco.equals(server))
      .map(({ box }) => box)
  }

  /** A Challenge that one of the boxes opened. False when it belongs to no handshake. */
  takeChallenge(server: DiscoPublic, from: Endpoint, message: BindChallenge): boolean {
    for (const [name, work] of this.#works) {
      const { relay, peer, generation } = work
      if (relay.vni !== message.vni || !relay.serverDisco.equals(server) || generation !== message.generation) continue
      if (!peer.disco?.key.equals(message.remoteKey)) continue
      this.#give(name, work, { type: 'challenge', from, challenge: message.challenge })
      return true
    }
    return false
  }

  /** A ping of the peer that came through a relay. */
  notePing(peer: P, vni: number): void {
    for (const [name, work] of this.#works)
      if (work.peer === peer && work.relay.vni === vni) this.#give(name, work, { type: 'peer-ping' })
  }

  /** The peer answered a ping that a handshake had sent. */
  takePong(peer: P, endpoint: Endpoint, vni: number, latencyMs: number): void {
    for (const [name, work] of this.#works) {
      if (work.peer !== peer || work.relay.vni !== vni || work.handshake.bound?.endpoint !== endpoint) continue
      this.#stop(name, work)
      const server = work.relay.serverDisco.text
      const node = this.#names.get(server)
      if (node !== undefined && this.#servers.some(({ nodeKey }) => nodeKey.text === node))
        this.#roundTrips.set(node, latencyMs)
      this.#noteEnd(peer, node ?? server, node, undefined)
      this.#options.onReady(peer, { endpoint, vni, relay: { server, node }, latencyMs })
      // Only the relaying node itself can say whose the place is; who is well served asks nobody of its own accord.
      if (node === undefined) this.find(peer)
      return
    }
  }

  #give(name: string, work: Work<P>, input: HandshakeInput): void {
    const { handshake, effects } = stepHandshake(work.handshake, input, this.#options.clock.now())
    work.handshake = handshake
    if (handshake.bound && handshake.tries >= LATE_TRIES) this.#noteFailedWork(work, 'no-pong')
    for (const effect of effects) this.#do(name, work, effect)
    if (this.#works.get(name) === work) this.#arm(name, work)
  }

  #do(name: string, work: Work<P>, effect: HandshakeEffect): void {
    const { peer, relay, generation, box } = work
    const remoteKey = peer.disco?.key
    if (!remoteKey) return this.#stop(name, work)
    const { sendControl, sendPing, log } = this.#options
    switch (effect.type) {
      case 'bind':
        return sendControl(effect.endpoint, relay.vni, box, {
          kind: 'bind',
          vni: relay.vni,
          generation,
          remoteKey,
          challenge: new Uint8Array(32),
        })
      case 'answer':
        return sendControl(effect.endpoint, relay.vni, box, {
          kind: 'bindAnswer',
          vni: relay.vni,
          generation,
          remoteKey,
          challenge: effect.challenge,
        })
      case 'ping':
        return sendPing(peer, effect.endpoint, relay.vni)
      case 'failed':
        log.info('relay handshake failed', { peer: peer.id, why: effect.why, vni: relay.vni })
        this.#noteFailedWork(work, effect.why)
        return this.#stop(name, work)
    }
  }

  #noteFailedWork({ peer, relay }: Work<P>, step: RelayFailureStep): void {
    const server = relay.serverDisco.text
    const node = this.#names.get(server)
    this.#noteEnd(peer, node ?? server, node, step)
  }

  #arm(name: string, work: Work<P>): void {
    const { clock } = this.#options
    work.cancel()
    work.cancel = clock.after(Math.max(work.handshake.wakeAtMs - clock.now(), 1), () =>
      this.#give(name, work, { type: 'tick' }),
    )
  }

  #stop(name: string, work: Work<P>): void {
    work.cancel()
    work.cancelTelling()
    if (this.#works.get(name) === work) this.#works.delete(name)
  }

  /** Shared by requests and handshakes; 0 means "none" on the wire. */
  #nextGeneration(): number {
    this.#generation = (this.#generation % 0xff_ff_ff_ff) + 1
    return this.#generation
  }
}

function addressesToTry(endpoints: readonly string[]): Endpoint[] {
  const usable = new Set<Endpoint>()
  for (const text of endpoints) {
    if (usable.size >= MOST_ADDRESSES) break
    const endpoint = usableEndpoint(text)
    if (endpoint !== undefined && !isLoopback(splitEndpoint(endpoint)?.address ?? '')) usable.add(endpoint)
  }
  return [...usable]
}
