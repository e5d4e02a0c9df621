// The path changes of the last 24 hours over restarts. Kept beside the state in a file of its own: it changes all the time, and
// the state file holds keys. Of a run that is killed, the last seconds are missing.

import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { readTextIfThere, writeFileAtomic } from '../base/atomic-file.ts'
import type { Clock } from '../base/clock.ts'
import { codeOf, messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { PathChange } from '../path/path-history.ts'
import { decodePathLog, encodePathLog, MOST_FILE_BYTES } from './path-log-file.ts'

const KEPT_MS = 24 * 3_600_000
/** Per peer, as in the path finder. */
const MOST_PER_PEER = 200
/** Of all peers; the oldest go. */
const MOST_CHANGES = 5_000
const WRITE_EVERY_MS = 10_000

interface Kept {
  /** Of runs before, and of meshes that are closed. */
  readonly earlier: readonly PathChange[]
  /** Of the mesh that is open, as it was last asked. */
  readonly now: readonly PathChange[]
}

const NONE: Kept = { earlier: [], now: [] }

export class PathLog {
  readonly #path: string | undefined
  readonly #clock: Clock
  readonly #log: Logger
  #peers: Map<string, Kept>
  #isUnsaved = false
  #cancel: (() => void) | undefined
  #saving: Promise<void> = Promise.resolve()

  private constructor(path: string | undefined, clock: Clock, log: Logger, changes: ReadonlyMap<string, PathChange[]>) {
    this.#path = path
    this.#clock = clock
    this.#log = log
    this.#peers = bounded(new Map([...changes].map(([key, earlier]) => [key, { earlier, now: [] }])), clock.wallNow())
  }

  /** A file that cannot be used counts as none, and what of it is broken is left out: it is told, and never stops the start. */
  static async open(folder: string, clock: Clock, log: Logger): Promise<PathLog> {
    const path = join(folder, 'path-history.json')
    try {
      const size = await stat(path).then(
        (found) => found.size,
        (error: unknown) => {
          if (codeOf(error) === 'ENOENT') return 0
          throw error
        },
      )
      if (size > MOST_FILE_BYTES) throw new Error(`it is larger than ${MOST_FILE_BYTES} bytes`)
      const content = await readTextIfThere(path)
      if (content === undefined) return new PathLog(path, clock, log, new Map())
      const { changes, broken } = decodePathLog(content)
      if (broken > 0) log.warn('some of the former path changes cannot be read', { path, broken })
      return new PathLog(path, clock, log, changes)
    } catch (error) {
      log.warn('the former path changes cannot be read', { path, error: messageOf(error) })
      return new PathLog(path, clock, log, new Map())
    }
  }

  /** All of a peer, oldest first, by its node key's text; `now` is what the open mesh knows. */
  list(nodeKey: string, now: readonly PathChange[]): readonly PathChange[] {
    this.take(nodeKey, now)
    const { earlier, now: latest } = this.#peers.get(nodeKey) ?? NONE
    return recent([...earlier, ...latest], this.#clock.wallNow())
  }

  /** What the open mesh knows of this peer; a list that lost its end is that of a peer which came anew. */
  take(nodeKey: string, now: readonly PathChange[]): void {
    const before = this.#peers.get(nodeKey) ?? NONE
    const [last, known] = [now.at(-1), before.now.at(-1)]
    if (last === known) return
    const isAnew = known !== undefined && !now.includes(known)
    const earlier = isAnew ? [...before.earlier, ...before.now].slice(-MOST_PER_PEER) : before.earlier
    this.#peers.set(nodeKey, { earlier, now })
    if (last === undefined) return
    this.#isUnsaved = true
    this.#cancel ??= this.#clock.after(WRITE_EVERY_MS, () => void this.save())
  }

  /** The mesh that all of `take` came from is closed. */
  endRun(): void {
    const all = [...this.#peers].map(([key, { earlier, now }]): [string, Kept] => [
      key,
      { earlier: [...earlier, ...now], now: [] },
    ])
    this.#peers = bounded(new Map(all), this.#clock.wallNow())
  }

  /** Resolves when everything so far is on disk, or cannot be. */
  save(): Promise<void> {
    this.#cancel?.()
    this.#cancel = undefined
    const path = this.#path
    if (path === undefined || !this.#isUnsaved) return this.#saving
    this.#isUnsaved = false
    this.#saving = this.#saving.then(async () => {
      const all = bounded(this.#peers, this.#clock.wallNow())
      const changes = new Map([...all].map(([key, { earlier, now }]) => [key, [...earlier, ...now]]))
      try {
        await writeFileAtomic(path, encodePathLog(changes))
      } catch (error) {
        this.#log.warn('path changes cannot be written down', { path, error: messageOf(error) })
      }
    })
    return this.#saving
  }
}

/** Changes of a time to come are those of a clock that was wrong. */
const isRecent = ({ atWallMs }: PathChange, nowWallMs: number): boolean => Math.abs(nowWallMs - atWallMs) <= KEPT_MS

const recent = (changes: readonly PathChange[], nowWallMs: number): PathChange[] =>
  changes.filter((one) => isRecent(one, nowWallMs)).slice(-MOST_PER_PEER)

/** What is too old, or too much in all, is left out. */
function bounded(peers: ReadonlyMap<string, Kept>, nowWallMs: number): Map<string, Kept> {
  const lists = [...peers].map(([key, { earlier, now }]) => {
    const kept = new Set(recent([...earlier, ...now], nowWallMs))
    return { key, earlier: earlier.filter((one) => kept.has(one)), now: now.filter((one) => kept.has(one)) }
  })
  const times = lists.flatMap(({ earlier, now }) => [...earlier, ...now].map(({ atWallMs }) => atWallMs))
  const oldest = times.length <= MOST_CHANGES ? -Infinity : (times.toSorted((a, b) => b - a)[MOST_CHANGES - 1] ?? 0)
  const isKept = ({ atWallMs }: PathChange): boolean => atWallMs >= oldest
  return new Map(
    lists
      .map(({ key, earlier, now }): [string, Kept] => [
        key,
        { earlier: earlier.filter(isKept), now: now.filter(isKept) },
      ])
      .filter(([, { earlier, now }]) => earlier.length + now.length > 0),
  )
}
