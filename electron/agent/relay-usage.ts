// What this machine's relay has carried, by calendar month. Kept beside the state in a file of its own: it changes all the time,
// and the state file holds keys. Of a run that is killed, the last seconds are missing.

import { join } from 'node:path'
import { readTextIfThere, writeFileAtomic } from '../base/atomic-file.ts'
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'

/** What a crash may lose: this much, or what was carried in this time, and a round of the relay's counting. */
const UNSAVED_BYTES = 16_000_000
const UNSAVED_MS = 10_000
/** A wrong clock makes months of its own; they do not count for the right one, and are forgotten in time. */
const MOST_MONTHS = 24

export class RelayUsage {
  readonly #path: string | undefined
  readonly #log: Logger
  readonly #months: Map<string, number>
  #unsavedBytes = 0
  #savedAtMs = -Infinity
  #saving: Promise<void> = Promise.resolve()
  #isSaving = false

  private constructor(path: string | undefined, log: Logger, months: Map<string, number>) {
    this.#path = path
    this.#log = log
    this.#months = months
  }

  /** A file that cannot be used counts as none: relaying anew is better than not at all, and it is told. */
  static async open(folder: string, log: Logger): Promise<RelayUsage> {
    const path = join(folder, 'relay-usage.json')
    try {
      return new RelayUsage(path, log, decodeMonths(await readTextIfThere(path)))
    } catch (error) {
      log.warn('what the relay carried so far cannot be read, and is counted anew', { path, error: messageOf(error) })
      return new RelayUsage(path, log, new Map())
    }
  }

  /** Kept nowhere. */
  static inMemory(log: Logger): RelayUsage {
    return new RelayUsage(undefined, log, new Map())
  }

  bytesIn(month: string): number {
    return this.#months.get(month) ?? 0
  }

  /** `nowMs` is the monotonic clock's. */
  add(month: string, bytes: number, nowMs: number): void {
    if (bytes <= 0) return
    this.#months.set(month, this.bytesIn(month) + bytes)
    this.#unsavedBytes += bytes
    for (const old of [...this.#months.keys()]
      .filter((name) => name !== month)
      .toSorted((a, b) => a.localeCompare(b))) {
      if (this.#months.size <= MOST_MONTHS) break
      this.#months.delete(old)
    }
    const isDue = this.#unsavedBytes >= UNSAVED_BYTES || nowMs - this.#savedAtMs >= UNSAVED_MS
    if (!isDue || this.#isSaving) return
    this.#savedAtMs = nowMs
    void this.save()
  }

  /** Resolves when everything so far is on disk, or cannot be. */
  save(): Promise<void> {
    if (this.#path === undefined || this.#unsavedBytes === 0) return this.#saving
    const path = this.#path
    this.#isSaving = true
    this.#saving = this.#saving.then(async () => {
      const bytes = this.#unsavedBytes
      try {
        await writeFileAtomic(path, encodeMonths(this.#months))
        this.#unsavedBytes -= bytes
      } catch (error) {
        this.#log.warn('what the relay carried cannot be written down', { path, error: messageOf(error) })
      }
      this.#isSaving = false
    })
    return this.#saving
  }
}

const encodeMonths = (months: ReadonlyMap<string, number>): string =>
  `${JSON.stringify({ format: 1, carriedBytes: Object.fromEntries(months) }, undefined, 2)}\n`

function decodeMonths(content: string | undefined): Map<string, number> {
  if (content === undefined) return new Map()
  const document: unknown = JSON.parse(content)
  if (typeof document !== 'object' || document === null || !('carriedBytes' in document))
    throw new Error('it is not a list of months')
  const { carriedBytes } = document
  if (typeof carriedBytes !== 'object' || carriedBytes === null) throw new Error('it is not a list of months')
  const months = new Map<string, number>()
  for (const [month, bytes] of Object.entries(carriedBytes).slice(0, MOST_MONTHS)) {
    if (!/^\d{4,}-\d{2}$/.test(month) || typeof bytes !== 'number' || !(bytes >= 0))
      throw new Error('a month is broken')
    months.set(month, Math.floor(bytes))
  }
  return months
}
