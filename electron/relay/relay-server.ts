// Which pairs of clients are relayed: sessions, who may have how many, and the handshake by which a client binds its
// address. Decisions only; relay-service.ts has the sockets and timers. Protocol: paths.md §6.4 and §6.7.

import { type Endpoint, splitEndpoint } from '../base/endpoint.ts'
import { isCoded } from '../base/errors.ts'
import { SharedBox } from '../crypto/box.ts'
import { DiscoPrivate, type DiscoPublic, type NodePublic } from '../crypto/keys.ts'
import { CHALLENGE_BYTES } from '../wire/disco/bind-fields.ts'
import { discoSender, openDisco, sealDisco } from '../wire/disco/envelope.ts'
import type { DiscoMessage } from '../wire/disco/message.ts'
import { MAX_VNI } from '../wire/geneve/header.ts'
import { Challenges } from './challenge.ts'

/** Both clients must have bound within this. */
export const BIND_LIFETIME_MS = 30_000
/** Once both are bound: either silent for longer ends the session. */
export const STEADY_LIFETIME_MS = 5 * 60_000
/** Requests per second and requester, and at once. */
const REQUESTS_PER_SECOND = 10
const REQUEST_BURST = 50
/** Draws of a VNI before the table counts as full; with half of all VNIs taken the 64th fails once in 2^64. */
const VNI_DRAWS = 64

export interface RelayLimits {
  readonly sessionsPerRequester: number
  readonly sessions: number
}

export const RELAY_LIMITS: RelayLimits = { sessionsPerRequester: 256, sessions: 16_384 }

export interface RelaySide {
  readonly client: DiscoPublic
  /** Where it is bound. */
  readonly endpoint: Endpoint | undefined
}

export interface RelaySession {
  readonly vni: number
  readonly lamportId: bigint
  readonly sides: readonly [RelaySide, RelaySide]
  /** Node keys, as text, of those who asked for it: one or both clients. */
  readonly requesters: ReadonlySet<string>
  readonly allocatedAtMs: number
}

export type RefusalReason =
  /** The pair is none, or the requester is not in it. */
  'bad-pair' | 'too-many-requests' | 'too-many-sessions' | 'relay-full'

export type Allocation =
  /** `ended` lost its place to it. */
  | { readonly session: RelaySession; readonly isNew: boolean; readonly ended: readonly RelaySession[] }
  | { readonly refused: RefusalReason }

export type RelayEffect =
  /** A challenge to this address; worth repeating while `awaits` says so. */
  | {
      readonly type: 'challenge'
      readonly endpoint: Endpoint
      readonly vni: number
      readonly bytes: Uint8Array
      readonly client: DiscoPublic
      readonly generation: number
    }
  /** The session's ends are these from now on. */
  | { readonly type: 'bind'; readonly session: RelaySession }

interface Side {
  readonly client: DiscoPublic
  box: SharedBox | undefined
  endpoint: Endpoint | undefined
  boundAtMs: number
  /** Of the handshake that waits for its answer; 0 for none. */
  generation: number
}

interface Session {
  readonly vni: number
  readonly lamportId: bigint
  readonly sides: readonly [Side, Side]
  readonly requesters: Set<string>
  readonly allocatedAtMs: number
  bindByMs: number
}

interface Requester {
  tokens: number
  atMs: number
  /** Of those who asked for it, sessions count for each. */
  sessions: number
}

export class RelayServer {
  readonly #key: DiscoPrivate
  readonly #limits: RelayLimits
  readonly #randomVni: () => number
  readonly #byVni = new Map<number, Session>()
  readonly #byPair = new Map<string, Session>()
  readonly #requesters = new Map<string, Requester>()
  readonly #challenges: Challenges
  #lamportId = 0n
  /** What was refused, by reason. */
  readonly refusals = new Map<string, number>()

  constructor(options: {
    readonly nowMs: number
    readonly key?: DiscoPrivate
    readonly limits?: RelayLimits
    readonly randomVni?: () => number
  }) {
    this.#key = options.key ?? DiscoPrivate.generate()
    this.#limits = options.limits ?? RELAY_LIMITS
    this.#randomVni = options.randomVni ?? unpredictableVni
    this.#challenges = new Challenges(options.nowMs)
  }

  /** Of this server instance, not of the node: another one after each start. */
  get discoKey(): DiscoPublic {
    return this.#key.public
  }

  get sessions(): RelaySession[] {
    return [...this.#byVni.values()].map(viewOf)
  }

  get count(): number {
    return this.#byVni.size
  }

  /** Bound at both ends. */
  get openCount(): number {
    let count = 0
    for (const { sides } of this.#byVni.values())
      if (sides[0].endpoint !== undefined && sides[1].endpoint !== undefined) count += 1
    return count
  }

  session(vni: number): RelaySession | undefined {
    const session = this.#byVni.get(vni)
    return session && viewOf(session)
  }

  /** `requesterDisco` is proven, and the requester permitted, before this is called. The same pair gets the same session. */
  allocate(
    requester: NodePublic,
    requesterDisco: DiscoPublic,
    pair: readonly [DiscoPublic, DiscoPublic],
    nowMs: number,
  ): Allocation {
    if (!this.#takeRequest(requester.text, nowMs)) return this.#refuse('too-many-requests')
    const [a, b] = pair
    const isPair = !a.equals(b) && !a.isZero && !b.isZero
    if (!isPair || pair.some((key) => key.equals(this.discoKey)) || !pair.some((key) => key.equals(requesterDisco)))
      return this.#refuse('bad-pair')
    const sorted = a.compare(b) < 0 ? pair : ([b, a] as const)
    const asker = this.#requesterNamed(requester.text, nowMs)
    const known = this.#byPair.get(nameOf(sorted))
    if (known) {
      if (!known.requesters.has(requester.text)) {
        known.requesters.add(requester.text)
        asker.sessions += 1
      }
      // The clients were promised the whole time to bind just now.
      known.bindByMs = nowMs + BIND_LIFETIME_MS
      return { session: viewOf(known), isNew: false, ended: [] }
    }
    if (asker.sessions >= this.#limits.sessionsPerRequester) return this.#refuse('too-many-sessions')
    const isFull = this.#byVni.size >= this.#limits.sessions
    const ended = isFull ? this.#endFor(asker) : []
    if (isFull && ended.length === 0) return this.#refuse('relay-full')
    const vni = this.#freeVni()
    if (vni === undefined) return this.#refuse('relay-full')
    const side = (client: DiscoPublic): Side => ({
      client,
      box: undefined,
      endpoint: undefined,
      boundAtMs: 0,
      generation: 0,
    })
    const session: Session = {
      vni,
      lamportId: (this.#lamportId += 1n),
      sides: [side(sorted[0]), side(sorted[1])],
      requesters: new Set([requester.text]),
      allocatedAtMs: nowMs,
      bindByMs: nowMs + BIND_LIFETIME_MS,
    }
    asker.sessions += 1
    this.#byVni.set(vni, session)
    this.#byPair.set(nameOf(sorted), session)
    return { session: viewOf(session), isNew: true, ended }
  }

  /** A Geneve control packet without its header. Whatever is not a step of a handshake is dropped and counted. */
  handleControl(from: Endpoint, vni: number, packet: Uint8Array, nowMs: number): readonly RelayEffect[] {
    const session = this.#byVni.get(vni)
    if (!session || !splitEndpoint(from)) return this.#drop('unknown-vni')
    const sender = discoSender(packet)
    const index = session.sides.findIndex(({ client }) => sender !== undefined && client.equals(sender))
    const side = session.sides[index]
    const other = session.sides[1 - index]
    if (!side || !other) return this.#drop('unknown-client')
    side.box ??= new SharedBox(this.#key.secretBytes(), side.client.bytes)
    const message = open(packet, side.box)
    if (message?.kind !== 'bind' && message?.kind !== 'bindAnswer') return this.#drop('unreadable')
    if (message.vni !== vni || message.generation === 0 || !message.remoteKey.equals(other.client))
      return this.#drop('wrong-handshake')
    if (message.kind === 'bind') {
      const challenge = this.#challenges.make(message, from, nowMs)
      if (!challenge) return []
      side.generation = message.generation
      const { generation, remoteKey } = message
      const reply: DiscoMessage = { kind: 'bindChallenge', vni, generation, remoteKey, challenge }
      const bytes = sealDisco(this.discoKey, side.box, reply)
      return [{ type: 'challenge', endpoint: from, vni, bytes, client: side.client, generation }]
    }
    if (message.generation !== side.generation) return this.#drop('wrong-handshake')
    if (message.challenge.length !== CHALLENGE_BYTES || !this.#challenges.accepts(message, from, nowMs))
      return this.#drop('wrong-challenge')
    side.generation = 0
    side.endpoint = from
    side.boundAtMs = nowMs
    return [{ type: 'bind', session: viewOf(session) }]
  }

  /** Whether this handshake of the client still lacks its answer. */
  awaits(vni: number, client: DiscoPublic, generation: number): boolean {
    const side = this.#byVni.get(vni)?.sides.find((one) => one.client.equals(client))
    return side?.generation === generation
  }

  /** Takes away what has expired and returns it. `lastSeenMs` gives, per side, when its last data packet came; 0 is never. */
  collect(nowMs: number, lastSeenMs: (vni: number) => readonly number[]): RelaySession[] {
    for (const [name, requester] of this.#requesters)
      if (requester.sessions === 0 && nowMs - requester.atMs > (REQUEST_BURST / REQUESTS_PER_SECOND) * 1000)
        this.#requesters.delete(name)
    return this.#closeWhere((session) => {
      const seen = lastSeenMs(session.vni)
      const isBound = session.sides.every(({ endpoint }) => endpoint !== undefined)
      if (!isBound) return nowMs > session.bindByMs
      return session.sides.some(({ boundAtMs }, index) => {
        return nowMs - Math.max(boundAtMs, seen[index] ?? 0) > STEADY_LIFETIME_MS
      })
    })
  }

  /** Ends the sessions that nobody who may relay here asked for: permission counts while it is used, not only at first. */
  retain(isPermitted: (requester: string) => boolean): RelaySession[] {
    return this.#closeWhere(({ requesters }) => {
      for (const requester of requesters)
        if (!isPermitted(requester)) {
          requesters.delete(requester)
          this.#release(requester)
        }
      return requesters.size === 0
    })
  }

  /** The greediest gives up its oldest place that nobody uses yet, to someone who has far fewer. */
  #endFor(asker: Requester): RelaySession[] {
    const counts = [...this.#requesters].map(([name, { sessions }]) => [name, sessions] as const)
    const [greedy, most] = counts.reduce((best, one) => (one[1] > best[1] ? one : best), ['', 0] as const)
    if (most < 2 * (asker.sessions + 1)) return []
    for (const session of this.#byVni.values())
      if (session.requesters.has(greedy) && session.sides.every(({ endpoint }) => endpoint === undefined))
        return this.end(session.vni)
    return []
  }

  /** Ends one session. */
  end(vni: number): RelaySession[] {
    return this.#closeWhere((session) => session.vni === vni)
  }

  #closeWhere(isOver: (session: Session) => boolean): RelaySession[] {
    const over = [...this.#byVni.values()].filter(isOver)
    for (const session of over) {
      this.#byVni.delete(session.vni)
      this.#byPair.delete(nameOf([session.sides[0].client, session.sides[1].client]))
      for (const requester of session.requesters) this.#release(requester)
    }
    return over.map(viewOf)
  }

  #requesterNamed(name: string, nowMs: number): Requester {
    const known = this.#requesters.get(name)
    if (known) return known
    const requester: Requester = { tokens: REQUEST_BURST, atMs: nowMs, sessions: 0 }
    this.#requesters.set(name, requester)
    return requester
  }

  #takeRequest(name: string, nowMs: number): boolean {
    const requester = this.#requesterNamed(name, nowMs)
    const gained = ((nowMs - requester.atMs) / 1000) * REQUESTS_PER_SECOND
    const tokens = Math.min(REQUEST_BURST, requester.tokens + gained)
    requester.tokens = tokens >= 1 ? tokens - 1 : tokens
    requester.atMs = nowMs
    return tokens >= 1
  }

  #release(name: string): void {
    const requester = this.#requesters.get(name)
    if (requester) requester.sessions -= 1
  }

  #freeVni(): number | undefined {
    for (let draw = 0; draw < VNI_DRAWS; draw++) {
      const vni = this.#randomVni()
      if (vni >= 1 && vni <= MAX_VNI && !this.#byVni.has(vni)) return vni
    }
    return undefined
  }

  #refuse(refused: RefusalReason): Allocation {
    this.#count(refused)
    return { refused }
  }

  #drop(reason: string): readonly RelayEffect[] {
    this.#count(reason)
    return []
  }

  #count(reason: string): void {
    this.refusals.set(reason, (this.refusals.get(reason) ?? 0) + 1)
  }
}

function open(packet: Uint8Array, box: SharedBox): DiscoMessage | undefined {
  try {
    return openDisco(packet, box)
  } catch (error) {
    if (isCoded(error)) return undefined
    throw error
  }
}

function nameOf(pair: readonly [DiscoPublic, DiscoPublic]): string {
  return `${pair[0].text} ${pair[1].text}`
}

function viewOf({ vni, lamportId, sides, requesters, allocatedAtMs }: Session): RelaySession {
  const [first, second] = sides
  return {
    vni,
    lamportId,
    sides: [
      { client: first.client, endpoint: first.endpoint },
      { client: second.client, endpoint: second.endpoint },
    ],
    requesters: new Set(requesters),
    allocatedAtMs,
  }
}

/** Whoever knows one session's VNI must not know the next one's. */
function unpredictableVni(): number {
  return (globalThis.crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) & MAX_VNI
}
