// Logins that wait for a person. Memory only, unless servers share a database: then each holds those of all, put here by
// registry-sharing.ts. A server that has forgotten one answers with a fresh URL. Bounded, since anyone who can open a
// connection can ask for one.

import { randomBytes } from 'node:crypto'
import type { Clock } from '../../base/clock.ts'
import { Listeners } from '../../base/lifetime.ts'
import type { MachinePublic, NodePublic } from '../../crypto/keys.ts'
import type { HostFacts, NodeId } from '../model.ts'

/** As long as a sign-in link lives. */
export const LOGIN_LIFE_MS = 10 * 60_000
const MOST_PENDING = 1_024
/** Of one machine: each account it is logging in to has a node key of its own, and a client may give up without a word. */
const MOST_FROM_ONE_MACHINE = 4
/** From one address (IPv6: one /64), so that a single guest cannot take every place. */
const MOST_FROM_ONE_SOURCE = 64

export interface PendingLogin {
  /** In the URL: 128 random bits. */
  readonly id: string
  readonly machineKey: MachinePublic
  readonly nodeKey: NodePublic
  readonly hostinfo: HostFacts
  readonly ephemeral: boolean
  readonly capVersion: number
  readonly expiryMs: number | undefined
  /** What the machine wants to be tagged with. */
  readonly requestTags: readonly string[]
  /** Where the connection came from, as the rate limits count it. */
  readonly source: string
  readonly createdAtMs: number
}

export type LoginVerdict =
  | { readonly kind: 'approved'; readonly nodeId: NodeId }
  | { readonly kind: 'refused'; readonly text: string }
  /** Too late, or never known: start again. */
  | { readonly kind: 'lapsed' }

export type LoginWish = Omit<PendingLogin, 'id' | 'createdAtMs'>

/** What opening comes to: one that waits already, or a new one, in the place of another of the same machine. */
export interface LoginOpening {
  readonly login: PendingLogin
  readonly isNew: boolean
  readonly instead: string | undefined
}

interface Entry {
  readonly login: PendingLogin
  verdict: LoginVerdict | undefined
  readonly waiting: Set<(verdict: LoginVerdict) => void>
  readonly cancelTimer: () => void
}

export class PendingLogins {
  /** Another one waits, or one does no more. */
  readonly changed = new Listeners<undefined>()
  readonly #clock: Clock
  readonly #byId = new Map<string, Entry>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The same login for the same keys; undefined when too many wait. */
  open(wanted: LoginWish): PendingLogin | undefined {
    const opening = this.decide(wanted)
    if (opening) this.carryOut(opening)
    return opening?.login
  }

  decide(wanted: LoginWish): LoginOpening | undefined {
    const ofMachine: Entry[] = []
    let fromSource = 0
    for (const entry of this.#byId.values()) {
      if (entry.login.source === wanted.source) fromSource++
      if (!entry.login.machineKey.equals(wanted.machineKey)) continue
      if (!entry.verdict && entry.login.nodeKey.equals(wanted.nodeKey))
        return { login: entry.login, isNew: false, instead: undefined }
      ofMachine.push(entry)
    }
    const [oldest] = ofMachine
    const instead = ofMachine.length >= MOST_FROM_ONE_MACHINE ? oldest?.login.id : undefined
    if (instead === undefined && (this.#byId.size >= MOST_PENDING || fromSource >= MOST_FROM_ONE_SOURCE))
      return undefined
    const login = { ...wanted, id: randomBytes(16).toString('base64url'), createdAtMs: this.#clock.wallNow() }
    return { login, isNew: true, instead }
  }

  carryOut({ login, isNew, instead }: LoginOpening): void {
    if (instead !== undefined) this.drop(instead)
    if (isNew) this.put(login)
  }

  /** Of this server or of another; nothing new where it is here already. */
  put(login: PendingLogin): void {
    if (this.#byId.has(login.id)) return
    // The clock of another server may differ.
    const leftMs = Math.min(Math.max(login.createdAtMs + LOGIN_LIFE_MS - this.#clock.wallNow(), 0), LOGIN_LIFE_MS)
    const entry: Entry = {
      login,
      verdict: undefined,
      waiting: new Set(),
      cancelTimer: this.#clock.after(leftMs, () => this.#forget(entry, { kind: 'lapsed' })),
    }
    this.#byId.set(login.id, entry)
    this.changed.emit(undefined)
  }

  /** It gave way to another. */
  drop(id: string): void {
    const entry = this.#byId.get(id)
    if (entry) this.#forget(entry, { kind: 'lapsed' })
  }

  /** What still waits under this id. */
  get(id: string): PendingLogin | undefined {
    const entry = this.#byId.get(id)
    return entry && !entry.verdict ? entry.login : undefined
  }

  all(): PendingLogin[] {
    return [...this.#byId.values()].flatMap((entry) => (entry.verdict ? [] : [entry.login]))
  }

  /** Tells who waits, and who asks until the login's time is over. */
  settle(id: string, verdict: LoginVerdict): void {
    const entry = this.#byId.get(id)
    if (!entry || entry.verdict) return
    entry.verdict = verdict
    this.#tell(entry, verdict)
    this.changed.emit(undefined)
  }

  /** The verdict, as soon as there is one. Only the machine and node key that asked may hear it. */
  async wait(
    id: string,
    machineKey: MachinePublic,
    nodeKey: NodePublic,
    signal: AbortSignal,
  ): Promise<LoginVerdict | undefined> {
    const entry = this.#byId.get(id)
    if (!entry || !entry.login.machineKey.equals(machineKey) || !entry.login.nodeKey.equals(nodeKey))
      return { kind: 'lapsed' }
    if (entry.verdict) return entry.verdict
    return new Promise((resolve) => {
      const end = (verdict: LoginVerdict | undefined): void => {
        entry.waiting.delete(end)
        signal.removeEventListener('abort', abort)
        resolve(verdict)
      }
      const abort = (): void => end(undefined)
      entry.waiting.add(end)
      signal.addEventListener('abort', abort, { once: true })
      if (signal.aborted) abort()
    })
  }

  close(): void {
    for (const entry of this.#byId.values()) this.#forget(entry, { kind: 'lapsed' })
  }

  #forget(entry: Entry, verdict: LoginVerdict): void {
    entry.cancelTimer()
    this.#byId.delete(entry.login.id)
    this.#tell(entry, verdict)
    if (!entry.verdict) this.changed.emit(undefined)
  }

  #tell(entry: Entry, verdict: LoginVerdict): void {
    // Each takes itself out as it hears: sets allow that while they are walked.
    for (const waiting of entry.waiting) waiting(verdict)
  }
}
