// Who may be relayed by whom: without a policy every node by every node that offers to. What a client of the field looks
// for are two capabilities in packet filters: one on the relay, from whom it takes requests, and its counterpart on the
// clients, which relays they may ask (control.md §9.6).

import type { FilterRuleInput } from '../../wire/tailcfg/filter-rule.ts'
import type { NodeId } from '../model.ts'

export const CAP_RELAY = 'tailscale.com/cap/relay'
const CAP_RELAY_TARGET = 'tailscale.com/cap/relay-target'

/** `relays`: the nodes that offer to relay, with their addresses as prefixes. */
export function relayRules(
  viewer: NodeId,
  ownAddresses: readonly string[],
  relays: ReadonlyMap<NodeId, readonly string[]>,
): FilterRuleInput[] {
  const rules: FilterRuleInput[] = []
  if (relays.has(viewer)) rules.push(grant(['*'], ownAddresses, CAP_RELAY))
  // In order of ids, so that the same relays make the same text.
  const others = [...relays].filter(([id]) => id !== viewer).toSorted(([a], [b]) => a - b)
  if (others.length > 0)
    rules.push(
      grant(
        others.flatMap(([, addresses]) => addresses),
        ownAddresses,
        CAP_RELAY_TARGET,
      ),
    )
  return rules
}

const grant = (srcIps: readonly string[], dsts: readonly string[], name: string): FilterRuleInput => ({
  srcIps: [...srcIps],
  capGrant: [{ dsts: [...dsts], capMap: new Map([[name, []]]) }],
})
