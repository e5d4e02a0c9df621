// What a token may do: "nodes" to change, "nodes:read" to look, "all" and "all:read" for everything.

import type { Role } from '../model.ts'

export const AREAS = ['nodes', 'routes', 'users', 'keys', 'policy', 'dns', 'audit', 'tokens'] as const
export type Area = (typeof AREAS)[number]
export type Scope = Area | `${Area}:read` | 'all' | 'all:read'

export const SCOPES: readonly Scope[] = ['all', 'all:read', ...AREAS, ...AREAS.map((area): Scope => `${area}:read`)]

export const isScope = (text: string): text is Scope => SCOPES.some((scope) => scope === text)

export function allows(scopes: readonly Scope[], area: Area, isWrite: boolean): boolean {
  if (scopes.includes('all') || scopes.includes(area)) return true
  return !isWrite && (scopes.includes('all:read') || scopes.includes(`${area}:read`))
}

/** What a person may do over the API, whatever a token of theirs says. */
export function scopesOf(role: Role): readonly Scope[] {
  if (role === 'owner' || role === 'admin') return ['all']
  return role === 'auditor' ? ['all:read'] : []
}
