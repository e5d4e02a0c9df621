// What the machines of a person say to whoever is before them, so that nobody has to look at a page to see it: somebody is
// about to give the account a new way in, or the only way there is ends.

import type { Clock } from '../../base/clock.ts'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/log.ts'
import type { UserId } from '../model.ts'
import type { ServerRegistry } from '../server-registry.ts'
import { allProviders, isOver } from './oidc/providers.ts'

/** Dates pass, and another server on the same database may have changed something. */
const EVERY_MS = 5 * 60_000

export class Notices {
  readonly #registry: ServerRegistry
  readonly #clock: Clock
  readonly #log: Logger
  readonly #publicUrl: string
  readonly #hosts: readonly string[]
  #stopListening: (() => void) | undefined
  #cancelTimer: (() => void) | undefined
  /** Of several wishes at once the last one sees all that the others would. */
  #running: Promise<void> = Promise.resolve()

  constructor(registry: ServerRegistry, clock: Clock, publicUrl: string, log: Logger) {
    this.#registry = registry
    this.#clock = clock
    this.#log = log
    this.#publicUrl = publicUrl
    this.#hosts = [new URL(publicUrl).hostname, 'localhost']
  }

  /** From now on, whatever changes how people sign in. */
  async start(): Promise<void> {
    this.#stopListening = this.#registry.signInChanges.add(() => this.#announceSoon())
    this.#schedule()
    await this.announce()
  }

  close(): void {
    this.#stopListening?.()
    this.#cancelTimer?.()
  }

  announce(): Promise<void> {
    this.#running = this.#running.catch(() => undefined).then(() => this.#announce())
    return this.#running
  }

  #schedule(): void {
    this.#cancelTimer = this.#clock.after(EVERY_MS, () => {
      this.#announceSoon()
      this.#schedule()
    })
  }

  #announceSoon(): void {
    this.announce().catch((error: unknown) =>
      this.#log.warn('people could not be told how they sign in', { reason: messageOf(error) }),
    )
  }

  async #announce(): Promise<void> {
    const nowMs = this.#clock.wallNow()
    const notices = new Map<UserId, string[]>()
    const tell = (id: UserId, text: string): unknown => notices.set(id, [...(notices.get(id) ?? []), text])
    await this.#registry.read(async (store) => {
      for (const { userId, helperId, readyAtMs } of await store.identity.recoveries()) {
        const helper = this.#registry.user(helperId)?.displayName ?? 'Somebody'
        tell(
          userId,
          `${helper} gives your account a new way to sign in, from ${dateText(readyAtMs)} on. ` +
            `If you did not ask for that, stop it at ${this.#publicUrl}/account`,
        )
      }
      for (const provider of await allProviders(store)) {
        const { id, label, leaveAtMs } = provider
        if (leaveAtMs === undefined) continue
        const text = isOver(provider, nowMs)
          ? `Signing in by ${label} is over, and you have no other way. This machine stays connected; ask the owner of ` +
            'the network for a link.'
          : `Signing in by ${label} ends at ${dateText(leaveAtMs)}, and you have no other way yet. Add one at ` +
            `${this.#publicUrl}/account – this machine stays connected.`
        for (const userId of await store.identity.oidc.dependents(id, this.#hosts)) tell(userId, text)
      }
    })
    this.#registry.setNotices(notices)
  }
}

const dateText = (ms: number): string => `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')} UTC`
