// Groups that a policy takes from providers: a provider that is not there is a mistake, most often of typing.

import { isProviderGroup } from './alias.ts'
import type { Alias, Policy } from './document.ts'
import { lineAndColumn } from './hujson.ts'
import type { PolicyProblem } from './problem.ts'

/** With their "group:". */
export const providerGroupsIn = (policy: Policy): string[] =>
  groupsIn(policy).flatMap(({ name }) => (policy.groups.has(name) || !isProviderGroup(name) ? [] : name))

/** Those that name none of these providers. */
export function unknownProviders(text: string, policy: Policy, providers: readonly string[]): PolicyProblem[] {
  return groupsIn(policy).flatMap(({ name, at }) => {
    const provider = name.slice(name.lastIndexOf('@') + 1)
    if (policy.groups.has(name) || !isProviderGroup(name) || providers.includes(provider)) return []
    const message = `there is no provider "${provider}"; add ${name} to "groups", or the provider: peerway coord oidc add ${provider}`
    return [{ ...lineAndColumn(text, at), message }]
  })
}

function groupsIn(policy: Policy): Extract<Alias, { kind: 'group' }>[] {
  const lists: readonly (readonly Alias[])[] = [
    ...policy.tagOwners.values(),
    ...(policy.acls ?? []).flatMap(({ src, dst }) => [src, dst.map(({ alias }) => alias)]),
    ...(policy.grants ?? []).flatMap(({ src, dst }) => [src, dst]),
    ...policy.routeApprovers.map(({ approvers }) => approvers),
    policy.exitNodeApprovers,
    ...policy.nodeAttrs.map(({ target }) => target),
    ...policy.ssh.map(({ src }) => src),
    ...policy.tests.map(({ src, accept, deny }) => [src, ...[...accept, ...deny].map(({ alias }) => alias)]),
    ...policy.sshTests.map(({ src, dst }) => [src, ...dst]),
  ]
  return lists.flat().filter((alias) => alias.kind === 'group')
}
