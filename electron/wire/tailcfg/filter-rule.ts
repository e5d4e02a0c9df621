// One rule of the packet filter, as sent to the node that is its destination. Address texts are kept as written; the one
// who builds the filter leaves out what does not parse. Reference: tailscale tailcfg/tailcfg.go, type FilterRule;
// control.md §9.1.

import {
  always,
  dictionary,
  type In,
  lenientList,
  list,
  nullIsZero,
  omit,
  type Out,
  struct,
  textKeys,
} from './schema.ts'
import { int, prefix, raw, text } from './scalars.ts'

export const portRange = struct({ first: always('First', int), last: always('Last', int) })

export const netPortRange = struct({
  /** IP, CIDR, "a-b" or "*". */
  ip: always('IP', text),
  /** Obsolete; a rule that has it denies everything. */
  bits: omit('Bits', raw),
  ports: always('Ports', portRange),
})

export const capGrant = struct({
  dsts: omit('Dsts', lenientList(prefix)),
  caps: omit('Caps', list(text)),
  capMap: omit('CapMap', dictionary(textKeys, nullIsZero(list(raw)))),
})

export const filterRule = struct({
  /** IP, CIDR, inclusive range "a-b", "*", or "cap:<node capability>". */
  srcIps: always('SrcIPs', list(text)),
  /** Obsolete; a rule that has it denies everything. */
  srcBits: omit('SrcBits', list(int)),
  dstPorts: omit('DstPorts', list(netPortRange)),
  /** IP protocol numbers; empty = TCP, UDP, ICMP, ICMPv6. */
  ipProto: omit('IPProto', list(int)),
  /** Application capabilities; a rule has these or `dstPorts`. */
  capGrant: omit('CapGrant', list(capGrant)),
})
export interface FilterRule extends Out<typeof filterRule> {}
export type FilterRuleInput = In<typeof filterRule>
