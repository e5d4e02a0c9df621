// What the app remembers of its window: preferences that may be lost, never keys.

import { copyFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeFileAtomic } from '../base/atomic-file.ts'
import { codeOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { ThemeChoice } from '../contract/calls.ts'

export interface Bounds {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

export interface Settings {
  readonly theme: ThemeChoice
  readonly bounds: Bounds | undefined
  readonly noTrayRead: boolean
}

const DEFAULTS: Settings = { theme: 'system', bounds: undefined, noTrayRead: false }

export class SettingsFile {
  readonly #path: string
  readonly #log: Logger
  #now: Settings
  #writing: Promise<void> = Promise.resolve()

  constructor(folder: string, log: Logger) {
    this.#path = join(folder, 'window.json')
    this.#log = log
    this.#now = this.#read()
  }

  get now(): Settings {
    return this.#now
  }

  /** Counts at once; on disk a moment later. A disk that refuses is logged, since nothing hangs on it. */
  update(change: Partial<Settings>): void {
    this.#now = { ...this.#now, ...change }
    const text = `${JSON.stringify(this.#now, undefined, 2)}\n`
    this.#writing = this.#writing
      .then(() => writeFileAtomic(this.#path, text))
      .catch((error: unknown) => this.#log.warn('window settings not kept', { error }))
  }

  /** Resolves when all is on disk. */
  settled(): Promise<void> {
    return this.#writing
  }

  #read(): Settings {
    try {
      return checked(JSON.parse(readFileSync(this.#path, 'utf8')))
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') this.#keepDamaged(error)
      return DEFAULTS
    }
  }

  #keepDamaged(error: unknown): void {
    this.#log.warn('window settings cannot be read; starting with the usual ones', { error })
    try {
      copyFileSync(this.#path, `${this.#path}.damaged`)
    } catch {
      // Then there is nothing to keep.
    }
  }
}

function checked(raw: unknown): Settings {
  const { theme, bounds, noTrayRead } = (typeof raw === 'object' && raw !== null ? raw : {}) as Record<string, unknown>
  return {
    theme: theme === 'light' || theme === 'dark' ? theme : 'system',
    bounds: checkedBounds(bounds),
    noTrayRead: noTrayRead === true,
  }
}

function checkedBounds(raw: unknown): Bounds | undefined {
  if (typeof raw !== 'object' || raw === null) return undefined
  const { x, y, width, height } = raw as Record<string, unknown>
  const isWhole = (value: unknown): value is number => Number.isInteger(value) && Math.abs(Number(value)) < 100_000
  return isWhole(x) && isWhole(y) && isWhole(width) && isWhole(height) ? { x, y, width, height } : undefined
}
