// Reference: tailscale tailcfg/tailcfg.go, type DNSConfig; control.md §8.1.

import { resolver } from './node.ts'
import { dictionary, type In, lenientList, list, nullIsZero, omit, type Out, struct, textKeys } from './schema.ts'
import { bool, ip, text } from './scalars.ts'

export const dnsRecord = struct({
  name: omit('Name', text),
  /** "", "A" or "AAAA"; others are ignored by clients. */
  type: omit('Type', text),
  value: omit('Value', text),
})

export const dnsConfig = struct({
  /** Non-empty = these instead of the system's own. */
  resolvers: omit('Resolvers', list(resolver)),
  /** Suffix to its resolvers; none = the built-in resolver answers. */
  routes: omit('Routes', dictionary(textKeys, nullIsZero(list(resolver)))),
  fallbackResolvers: omit('FallbackResolvers', list(resolver)),
  /** Search domains, without trailing dot. */
  domains: omit('Domains', list(text)),
  /** MagicDNS. */
  proxied: omit('Proxied', bool),
  nameservers: omit('Nameservers', lenientList(ip)),
  certDomains: omit('CertDomains', list(text)),
  extraRecords: omit('ExtraRecords', list(dnsRecord)),
  exitNodeFilteredSet: omit('ExitNodeFilteredSet', list(text)),
})
export interface DnsConfig extends Out<typeof dnsConfig> {}
export type DnsConfigInput = In<typeof dnsConfig>
