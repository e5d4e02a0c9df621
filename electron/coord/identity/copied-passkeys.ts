// Passkeys whose count of uses went back: somebody may have copied them. Kept until the person removes the passkey, so that
// whoever was elsewhere at that moment is told too.

import { recordOf } from '../kept-settings.ts'
import type { StoreTransaction } from '../store/store.ts'

const NAME = 'copied-passkeys'
/** Of the whole server; the oldest go. */
const MOST = 1_000

/** By the passkey's id, when it was seen last. */
export async function copiedPasskeys(store: Pick<StoreTransaction, 'setting'>): Promise<ReadonlyMap<string, number>> {
  const known = Object.entries(recordOf(await store.setting(NAME)))
  return new Map(known.flatMap(([id, atMs]) => (typeof atMs === 'number' ? [[id, atMs] as const] : [])))
}

export async function noteCopied(store: StoreTransaction, id: string, nowMs: number): Promise<void> {
  const known = new Map(await copiedPasskeys(store))
  // Taken out and put back at the end.
  known.delete(id)
  await save(store, [...known, [id, nowMs]])
}

export async function forgetCopied(store: StoreTransaction, id: string): Promise<void> {
  const known = new Map(await copiedPasskeys(store))
  if (known.delete(id)) await save(store, [...known])
}

const save = (store: StoreTransaction, known: readonly (readonly [string, number])[]): Promise<void> =>
  store.setSetting(NAME, JSON.stringify(Object.fromEntries(known.slice(-MOST))))
