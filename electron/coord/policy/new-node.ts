// What the policy in force says of a node that is about to be: which tags it may have, and where its address lies. Without
// a policy nobody may give tags, and every address is as good as another.

import type { UserId } from '../model.ts'
import type { Registry } from '../registry.ts'
import { CompiledPolicy } from './compile.ts'
import type { IpSet } from './ip-set.ts'
import { readPolicy } from './read-policy.ts'
import type { PolicyNode } from './topology.ts'

type Facts = Pick<Registry, 'users' | 'policy'>

/** Stands in for an address that is not given out yet: the first of the range, which no node has. */
const NO_ADDRESS = '100.64.0.0'
const KEY = 'new'

function compiled(registry: Facts, nodes: readonly PolicyNode[]): CompiledPolicy | undefined {
  if (!registry.policy) return undefined
  const users = [...registry.users()].map(({ id, name, email, role }) => ({ key: String(id), name, email, role }))
  try {
    const policy = readPolicy(registry.policy.text)
    return new CompiledPolicy({ ...policy, acls: [], grants: [], ssh: [] }, { users, nodes })
  } catch {
    // Whoever uses the policy for rules has told of it, and denies everything.
    return undefined
  }
}

/** Of the tags those that a user may not give, and that no tag the machine already has may either. */
export function tagsBeyond(
  registry: Facts,
  holder: { readonly userId: UserId | undefined; readonly tags: readonly string[] },
  wanted: readonly string[],
): string[] {
  if (wanted.length === 0) return []
  const policy = compiled(registry, [])
  return wanted.filter((tag) => {
    if (!policy) return true
    if (holder.userId !== undefined && policy.ownsTag(String(holder.userId), tag)) return false
    return !holder.tags.some((one) => one === tag || policy.tagOwnsTag(one, tag))
  })
}

/** Where the address of such a node has to lie; undefined for anywhere. */
export function addressPool(registry: Facts, userId: UserId, tags: readonly string[]): IpSet | undefined {
  const node = { key: KEY, userKey: String(userId), tags, addresses: [NO_ADDRESS], routes: [] }
  const pool = compiled(registry, [node])?.addressPool(KEY)
  return pool === undefined || pool.isEmpty ? undefined : pool
}
