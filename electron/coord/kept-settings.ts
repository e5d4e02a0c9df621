// Settings of the tailnet that decide what nodes are told: held in memory as they are on disk, and read once for each change.

import type { StoreTransaction } from './store/store.ts'

/** Every one there is; each is the name of its row too. */
export const KEPT_SETTINGS = [
  'route-decisions',
  'primary-routes',
  'dns',
  'derp-map',
  'node-keys',
  'device-approval',
  'api-tokens',
  'imported-nodes',
  'rejoin-keys',
] as const
export type KeptName = (typeof KEPT_SETTINGS)[number]

export interface KeptSetting<T> {
  readonly name: KeptName
  /** Total: what cannot be read counts as never set. */
  parse(text: string | undefined): T
}

export class KeptSettings {
  readonly #texts = new Map<KeptName, string>()
  readonly #parsed = new Map<KeptName, unknown>()

  async load(store: Pick<StoreTransaction, 'tailnetSetting'>): Promise<void> {
    for (const name of KEPT_SETTINGS) {
      const text = await store.tailnetSetting(name)
      if (text !== undefined) this.#texts.set(name, text)
      else this.#texts.delete(name)
    }
    this.#parsed.clear()
  }

  set(name: KeptName, text: string): void {
    this.#texts.set(name, text)
    this.#parsed.delete(name)
  }

  get<T>(setting: KeptSetting<T>): T {
    const { name } = setting
    if (!this.#parsed.has(name)) this.#parsed.set(name, setting.parse(this.#texts.get(name)))
    return this.#parsed.get(name) as T
  }
}

/** The members of a JSON object; none for another text. */
export function recordOf(text: string | undefined): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text ?? '{}')
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : {}
  } catch {
    return {}
  }
}
