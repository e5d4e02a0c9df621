// A machine of the tailnet as the server describes it to one viewer, and the small changes of one. Reference: tailscale
// tailcfg/tailcfg.go, types Node, PeerChange; who needs which member: control.md §5.6.

import { hostinfo } from './hostinfo.ts'
import {
  dictionary,
  always,
  type In,
  lenientList,
  list,
  nullIsZero,
  omit,
  optional,
  type Out,
  struct,
  textKeys,
} from './schema.ts'
import {
  bool,
  bytes,
  discoKey,
  endpoint,
  id,
  int,
  ip,
  machineKey,
  nodeKey,
  prefix,
  raw,
  text,
  time,
  timeOrNever,
} from './scalars.ts'

/** Capability name to its values; present without values is an empty list. */
export const capMap = dictionary(textKeys, nullIsZero(list(raw)))
export type CapMap = Out<typeof capMap>

/** Reference: tailscale types/dnstype/dnstype.go. */
export const resolver = struct({
  /** IP, ip:port, "https://…" (DoH) or "http://<node ip>:<port>/path" (DNS over a peer). */
  addr: omit('Addr', text),
  bootstrapResolution: omit('BootstrapResolution', lenientList(ip)),
  useWithExitNode: omit('UseWithExitNode', bool),
})
export interface Resolver extends Out<typeof resolver> {}

export const node = struct({
  id: always('ID', id),
  stableId: always('StableID', text),
  /** Full name with the trailing dot; what follows the first label is the MagicDNS suffix. */
  name: always('Name', text),
  user: always('User', id),
  sharer: omit('Sharer', id),
  key: always('Key', nodeKey),
  /** Undefined = never. */
  keyExpiryMs: omit('KeyExpiry', time),
  keySignature: omit('KeySignature', bytes),
  machine: omit('Machine', machineKey),
  discoKey: omit('DiscoKey', discoKey),
  addresses: always('Addresses', lenientList(prefix)),
  /** Undefined = the same as `addresses` (capability version 112). */
  allowedIps: optional('AllowedIPs', lenientList(prefix)),
  endpoints: omit('Endpoints', lenientList(endpoint)),
  /** "127.3.3.40:<region>", the form before capability version 111. */
  legacyDerp: omit('DERP', text),
  homeDerp: omit('HomeDERP', int),
  hostinfo: optional('Hostinfo', hostinfo),
  createdMs: omit('Created', time),
  /** The capability version of that node. */
  cap: omit('Cap', int),
  tags: omit('Tags', list(text)),
  primaryRoutes: omit('PrimaryRoutes', lenientList(prefix)),
  /** Only while offline. */
  lastSeenMs: omit('LastSeen', time),
  /** Undefined = unknown. */
  online: optional('Online', bool),
  machineAuthorized: omit('MachineAuthorized', bool),
  /** The form of `capMap` before capability version 74. */
  capabilities: omit('Capabilities', list(text)),
  capMap: omit('CapMap', capMap),
  unsignedPeerApiOnly: omit('UnsignedPeerAPIOnly', bool),
  dataPlaneAuditLogId: omit('DataPlaneAuditLogID', text),
  /** A hint one way only; each client also judges by `keyExpiryMs`. */
  expired: omit('Expired', bool),
  selfNodeV4MasqAddrForThisPeer: optional('SelfNodeV4MasqAddrForThisPeer', ip),
  selfNodeV6MasqAddrForThisPeer: optional('SelfNodeV6MasqAddrForThisPeer', ip),
  isWireGuardOnly: omit('IsWireGuardOnly', bool),
  isJailed: omit('IsJailed', bool),
  exitNodeDnsResolvers: omit('ExitNodeDNSResolvers', list(resolver)),
})
export interface Node extends Out<typeof node> {}
export type NodeInput = In<typeof node>

/** Members that are undefined are unchanged. */
export const peerChange = struct({
  nodeId: always('NodeID', id),
  /** 0 = unchanged. */
  derpRegion: omit('DERPRegion', int),
  /** 0 = unchanged. */
  cap: omit('Cap', int),
  capMap: optional('CapMap', capMap),
  /** Empty = unchanged. */
  endpoints: omit('Endpoints', lenientList(endpoint)),
  key: optional('Key', nodeKey),
  keySignature: omit('KeySignature', bytes),
  discoKey: optional('DiscoKey', discoKey),
  online: optional('Online', bool),
  lastSeenMs: optional('LastSeen', timeOrNever),
  keyExpiryMs: optional('KeyExpiry', timeOrNever),
})
export interface PeerChange extends Out<typeof peerChange> {}
export type PeerChangeInput = In<typeof peerChange>
