// The audit log names people and machines by their numbers, which stay when names change. Readers want the names: those of
// today, or, of what is gone, the last that the log knows.

import type { AuditEntry } from '../store/store.ts'
import type { Registry } from '../registry.ts'

/** Entries that tell a name, and how: all of the detail up to one of these. */
const TELLS: Readonly<Record<string, RegExp>> = {
  'user.create': /^(.*) \([a-z]+\)$/,
  'user.delete': /^(.*)$/,
  'node.register': /^(.*)$/,
  'node.delete': /^([^:]*)/,
}

/** The name of "user:1" or "node:3", also with where they asked from; undefined where it is none of these, or not known. */
export function auditNames(registry: Registry, entries: readonly AuditEntry[]): (of: string) => string | undefined {
  const gone = new Map<string, string>()
  for (const { action, subject, detail } of entries) {
    const name = TELLS[action]?.exec(detail ?? '')?.[1]
    if (name !== undefined && name !== '') gone.set(subject, name)
  }
  return (of) => {
    const [, kind, id] = /^(user|node):(\d{1,15})(?= |$)/.exec(of) ?? []
    if (kind === undefined) return undefined
    const now = kind === 'user' ? registry.user(Number(id))?.name : registry.node(Number(id))?.name
    return now ?? gone.get(`${kind}:${id}`)
  }
}
