// Who answers for which name.

import type { IpAddress } from '../base/endpoint.ts'

export interface DnsPlan {
  /** Names that are answered here: lower case, without a dot at the end. */
  readonly hosts: ReadonlyMap<string, readonly IpAddress[]>
  readonly namesOf: ReadonlyMap<IpAddress, string>
  /** A domain to the servers that answer for it; none means that what is not among `hosts` does not exist. */
  readonly routes: ReadonlyMap<string, readonly string[]>
  /** For all other names, instead of the system's own servers; empty leaves it to those, unless `beside` is told. */
  readonly servers: readonly string[]
  readonly searchDomains: readonly string[]
  /**
   * While everything goes through an exit node: the names that are asked of the system's own servers all the same, as the
   * tunnel needs them. Others never are.
   */
  readonly beside?: ReadonlySet<string> | undefined
}

export type Responsible =
  /** Answered here; what is not known does not exist. */
  | { readonly kind: 'here' }
  | { readonly kind: 'servers'; readonly servers: readonly string[] }
  /** The servers the system had before. */
  | { readonly kind: 'system' }

/** The longest domain that the name is in decides. */
export function responsibleFor(name: string, plan: DnsPlan): Responsible {
  if (plan.hosts.has(name)) return { kind: 'here' }
  for (let domain = name; ; domain = domain.slice(domain.indexOf('.') + 1)) {
    const servers = plan.routes.get(domain)
    if (servers) return servers.length > 0 ? { kind: 'servers', servers } : { kind: 'here' }
    if (!domain.includes('.')) break
  }
  if (plan.beside?.has(name)) return { kind: 'system' }
  return plan.servers.length > 0 || plan.beside ? { kind: 'servers', servers: plan.servers } : { kind: 'system' }
}
