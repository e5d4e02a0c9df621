import { KEY_BYTES, type NodePublic } from '../crypto/keys.ts'
import { encodeFrame } from '../wire/derp/message.ts'
import { PeerGoneReason } from '../wire/derp/notices.ts'
import type { ServerSession } from './server-session.ts'

/**
 * All connections with one node key. Packets go to the active one: the newest, until another sends something (a laptop
 * and its restored backup, or an old connection that has not noticed its end yet).
 */
export class ClientEntry {
  readonly key: NodePublic
  readonly sessions = new Set<ServerSession>()
  active: ServerSession
  isRemoved = false
  /** Who had packets from us and hears when we go; and the same seen from the other side. */
  readonly sentTo = new Set<ClientEntry>()
  readonly heardFrom = new Set<ClientEntry>()
  #lastSentTo: ClientEntry | undefined

  constructor(key: NodePublic, first: ServerSession) {
    this.key = key
    this.active = first
    this.sessions.add(first)
  }

  isAt(keys: Uint8Array, at: number): boolean {
    if (this.isRemoved) return false
    const own = this.key.bytes
    for (let i = 0; i < KEY_BYTES; i++) if (own[i] !== keys[at + i]) return false
    return true
  }

  noteActivity(session: ServerSession): void {
    this.active = session
  }

  noteSentTo(to: ClientEntry): void {
    if (to === this.#lastSentTo) return
    this.#lastSentTo = to
    this.sentTo.add(to)
    to.heardFrom.add(this)
  }

  forget(other: ClientEntry): void {
    this.sentTo.delete(other)
    this.heardFrom.delete(other)
    if (this.#lastSentTo === other) this.#lastSentTo = undefined
  }
}

/** The clients of a server, by node key. */
export class ClientRegistry {
  readonly #entries = new Map<string, ClientEntry>()

  get size(): number {
    return this.#entries.size
  }

  /** The entry of the key that starts at `at`; 32 bytes are there. */
  find(keys: Uint8Array, at: number): ClientEntry | undefined {
    return this.#entries.get(idOf(keys, at))
  }

  get(key: NodePublic): ClientEntry | undefined {
    return this.find(key.bytes, 0)
  }

  add(key: NodePublic, session: ServerSession): ClientEntry {
    const known = this.get(key)
    if (known) {
      known.sessions.add(session)
      known.active = session
      return known
    }
    const entry = new ClientEntry(key, session)
    this.#entries.set(idOf(key.bytes, 0), entry)
    return entry
  }

  remove(key: NodePublic, session: ServerSession): void {
    const entry = this.get(key)
    if (!entry?.sessions.delete(session)) return
    if (entry.active === session) {
      let newest: ServerSession | undefined
      for (const left of entry.sessions) newest = left
      if (newest) entry.active = newest
    }
    if (entry.sessions.size > 0) return
    entry.isRemoved = true
    this.#entries.delete(idOf(key.bytes, 0))
    const gone = encodeFrame('peerGone', { peer: key, reason: PeerGoneReason.disconnected })
    for (const other of entry.sentTo) {
      other.forget(entry)
      if (other !== entry) for (const each of other.sessions) each.writer.control(gone)
    }
    for (const other of entry.heardFrom) other.forget(entry)
  }
}

/** One character per byte: as short as a Map key can be, and made by one native call. */
function idOf(keys: Uint8Array, at: number): string {
  return Buffer.from(keys.buffer, keys.byteOffset + at, KEY_BYTES).toString('latin1')
}
