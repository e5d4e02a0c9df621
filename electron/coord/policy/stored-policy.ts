// The policy as the store keeps it: the one in force, and each earlier one under its number.

import type { StoreTransaction } from '../store/store.ts'

const IN_FORCE = 'policy'
const revisionSetting = (revision: number): string => `policy/${revision}`

export interface StoredPolicy {
  /** One more at every change, from 1. */
  readonly revision: number
  /** As it was written, comments and all. */
  readonly text: string
  readonly savedAtMs: number
  /** Who set it, as in the audit log. */
  readonly by: string
}

type Settings = Pick<StoreTransaction, 'tailnetSetting' | 'setTailnetSetting'>

export async function loadPolicy(store: Settings, revision?: number): Promise<StoredPolicy | undefined> {
  const text = await store.tailnetSetting(revision === undefined ? IN_FORCE : revisionSetting(revision))
  return text === undefined ? undefined : parse(text)
}

export async function savePolicy(store: Settings, policy: StoredPolicy): Promise<void> {
  const text = JSON.stringify(policy)
  await store.setTailnetSetting(revisionSetting(policy.revision), text)
  await store.setTailnetSetting(IN_FORCE, text)
}

/** A damaged row still counts as a policy, one that cannot be read: whoever uses it then denies everything. */
function parse(text: string): StoredPolicy {
  let raw: Partial<Record<keyof StoredPolicy, unknown>> = {}
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) raw = value
  } catch {
    // As below.
  }
  return {
    revision: typeof raw.revision === 'number' ? raw.revision : 0,
    text: typeof raw.text === 'string' ? raw.text : '',
    savedAtMs: typeof raw.savedAtMs === 'number' ? raw.savedAtMs : 0,
    by: typeof raw.by === 'string' ? raw.by : '',
  }
}
