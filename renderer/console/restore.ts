// Restoring a backup, from choosing the file until the server is back. Kept apart from the lists: while the server begins
// anew, nobody is signed in and nothing else can be shown.

import { create } from 'zustand'
import { api, Refusal, uploadBackup } from './api.ts'
import { dismissTrouble, fail } from './store.ts'
import type { Restored, UploadedBackup } from './types.ts'

export type RestoreState =
  | { readonly kind: 'none' }
  | { readonly kind: 'uploading' }
  | { readonly kind: 'decide'; readonly backup: UploadedBackup }
  | { readonly kind: 'running' | 'done' | 'silent' }
  | { readonly kind: 'failed'; readonly message: string }

export const useRestore = create<{ readonly now: RestoreState }>(() => ({ now: { kind: 'none' } }))

const to = (now: RestoreState): void => useRestore.setState({ now })

export const leaveRestore = (): void => to({ kind: 'none' })

export async function chooseBackup(file: File): Promise<void> {
  dismissTrouble()
  to({ kind: 'uploading' })
  try {
    to({ kind: 'decide', backup: await uploadBackup(file) })
  } catch (error) {
    fail(error)
    leaveRestore()
  }
}

const LOOK_MS = 700
/** A large database takes its time; after this long somebody has to look at the server. */
const PATIENCE_MS = 120_000

export async function restoreBackup({ upload }: UploadedBackup, passphrase: string): Promise<void> {
  try {
    await api.restore(upload, passphrase)
  } catch (error) {
    // The file is kept; only what was typed was wrong.
    return fail(error)
  }
  to({ kind: 'running' })
  for (const untilMs = Date.now() + PATIENCE_MS; Date.now() < untilMs; await pause()) {
    const outcome = await api.restored(upload).catch((error: unknown): Restored | undefined => {
      // It does not answer while it begins anew.
      if (error instanceof Refusal && error.status === 404) return { state: 'failed', message: error.message }
      return undefined
    })
    if (outcome?.state === 'done') return to({ kind: 'done' })
    if (outcome?.state === 'failed') return to({ kind: 'failed', message: outcome.message })
  }
  to({ kind: 'silent' })
}

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, LOOK_MS))
