// Names of people and machines in a policy.

import { type Alias, AUTOGROUPS, type Autogroup } from './document.ts'
import type { Offset } from './hujson.ts'
import { hasHostBits, IpSet, prefixRange } from './ip-set.ts'

/** tailcfg CheckTag (control.md §4.7). */
const TAG = /^tag:[a-zA-Z][a-zA-Z0-9-]*$/
const GROUP = /^group:[^\s:]+$/
/** A provider’s group may have spaces in it; the provider’s name stands behind the last @. */
const PROVIDER_GROUP = /^group:[^\s:][^:]*@[a-z0-9][a-z0-9-]*$/
const HOST = /^[a-zA-Z0-9_][a-zA-Z0-9_.-]*$/

const ALIAS_HELP =
  'write *, an address, a CIDR block, a user (name@example.org, or name@ for a local one), group:…, tag:…, autogroup:… or a name of "hosts"'

/** A message when it is none. */
export function parseAlias(text: string, at: Offset): Alias | string {
  if (text === '*') return { kind: 'all', at, text }
  if (text.startsWith('autogroup:')) {
    const name = text.slice('autogroup:'.length)
    const found = AUTOGROUPS.find((one) => one === name)
    return found
      ? { kind: 'autogroup', name: found, at, text }
      : `there is no ${text}; there are ${AUTOGROUPS.join(', ')}`
  }
  if (text.startsWith('group:'))
    return GROUP.test(text) || isProviderGroup(text)
      ? { kind: 'group', name: text, at, text }
      : `"${text}" is no group; write as in group:admins, or group:staff@corp for one of the provider corp`
  if (text.startsWith('tag:')) {
    if (TAG.test(text)) return { kind: 'tag', name: text, at, text }
    return `"${text}" is no tag: after tag: comes a letter, then letters, digits and -`
  }
  if (/^[0-9a-fA-F:.[\]]+(\/\d+)?$/.test(text)) {
    const bare = text.replace(/^\[(.*)\]$/, '$1')
    const range = prefixRange(bare)
    if (range && hasHostBits(bare))
      return `"${text}" has bits set beyond its length; write ${IpSet.of([range]).toPrefixes()[0] ?? ''}`
    if (range) return { kind: 'prefix', set: IpSet.of([range]), at, text }
    if (text.includes(':') || text.includes('/') || /^[\d.]+$/.test(text))
      return `"${text}" is no address or CIDR block`
  }
  if (text.startsWith('user:*@')) {
    if (/^user:\*@[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)*$/.test(text))
      return { kind: 'user', name: text.slice('user:'.length), at, text }
    return `"${text}" names no users; write as in user:*@example.org`
  }
  if (text.includes('@')) {
    if (/\s/.test(text) || text.startsWith('@')) return `"${text}" is no user; write as in anna@example.org`
    return { kind: 'user', name: text, at, text }
  }
  if (HOST.test(text)) return { kind: 'host', name: text, at, text }
  return `"${text}" names nothing; ${ALIAS_HELP}`
}

/** One whose members a provider tells, not the policy. */
export const isProviderGroup = (name: string): boolean => PROVIDER_GROUP.test(name)

export const isAutogroup = (alias: Alias, ...names: readonly Autogroup[]): boolean =>
  alias.kind === 'autogroup' && names.includes(alias.name)

/** Whether a user of the server goes by this name in a policy: by name, by address, by name with a final @, or as *@domain. */
export function goesBy(user: { readonly name: string; readonly email?: string | undefined }, text: string): boolean {
  const wanted = text.toLowerCase()
  if (wanted.startsWith('*@'))
    return [user.name, user.email].some((name) => name?.toLowerCase().endsWith(wanted.slice(1)) === true)
  const bare = wanted.endsWith('@') ? wanted.slice(0, -1) : wanted
  return [user.name, user.email].some((name) => name !== undefined && name !== '' && name.toLowerCase() === bare)
}
