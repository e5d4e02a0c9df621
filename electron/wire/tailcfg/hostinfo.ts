// What a node tells about itself. Every member is left out when zero. Reference: tailscale tailcfg/tailcfg.go, types
// Hostinfo, NetInfo, Service, Location; who uses which member: control.md §5.8.

import { dictionary, type In, lenientList, list, omit, optional, type Out, struct, textKeys } from './schema.ts'
import { bool, float, int, prefix, raw, text } from './scalars.ts'

export const service = struct({
  /** "tcp", "udp", "peerapi4", "peerapi6", "peerapi-dns-proxy". */
  proto: omit('Proto', text),
  port: omit('Port', int),
  description: omit('Description', text),
})
export interface Service extends Out<typeof service> {}

export const netInfo = struct({
  /** The home DERP region; 0 = unknown. The server publishes it as the node's HomeDERP. */
  preferredDerp: omit('PreferredDERP', int),
  mappingVariesByDestIp: optional('MappingVariesByDestIP', bool),
  hairPinning: optional('HairPinning', bool),
  workingIpv6: optional('WorkingIPv6', bool),
  osHasIpv6: optional('OSHasIPv6', bool),
  workingUdp: optional('WorkingUDP', bool),
  workingIcmpV4: optional('WorkingICMPv4', bool),
  havePortMap: omit('HavePortMap', bool),
  upnp: optional('UPnP', bool),
  pmp: optional('PMP', bool),
  pcp: optional('PCP', bool),
  linkType: omit('LinkType', text),
  /** "<region>-v4" or "<region>-v6" to seconds. */
  derpLatencySeconds: omit('DERPLatency', dictionary(textKeys, float)),
  firewallMode: omit('FirewallMode', text),
})
export interface NetInfo extends Out<typeof netInfo> {}
export type NetInfoInput = In<typeof netInfo>

export const location = struct({
  country: omit('Country', text),
  countryCode: omit('CountryCode', text),
  city: omit('City', text),
  cityCode: omit('CityCode', text),
  latitude: omit('Latitude', float),
  longitude: omit('Longitude', float),
  priority: omit('Priority', int),
})

export const hostinfo = struct({
  ipnVersion: omit('IPNVersion', text),
  frontendLogId: omit('FrontendLogID', text),
  backendLogId: omit('BackendLogID', text),
  os: omit('OS', text),
  osVersion: omit('OSVersion', text),
  container: optional('Container', bool),
  env: omit('Env', text),
  distro: omit('Distro', text),
  distroVersion: omit('DistroVersion', text),
  distroCodeName: omit('DistroCodeName', text),
  app: omit('App', text),
  desktop: optional('Desktop', bool),
  packageType: omit('Package', text),
  deviceModel: omit('DeviceModel', text),
  pushDeviceToken: omit('PushDeviceToken', text),
  /** Raw user text; the server makes a label of it. */
  hostname: omit('Hostname', text),
  shieldsUp: omit('ShieldsUp', bool),
  shareeNode: omit('ShareeNode', bool),
  noLogsNoSupport: omit('NoLogsNoSupport', bool),
  remoteConfig: omit('RemoteConfig', bool),
  wireIngress: omit('WireIngress', bool),
  ingressEnabled: omit('IngressEnabled', bool),
  allowsUpdate: omit('AllowsUpdate', bool),
  machine: omit('Machine', text),
  goArch: omit('GoArch', text),
  goArchVar: omit('GoArchVar', text),
  goVersion: omit('GoVersion', text),
  /** Advertised routes; an exit node lists 0.0.0.0/0 and ::/0. */
  routableIps: omit('RoutableIPs', lenientList(prefix)),
  requestTags: omit('RequestTags', list(text)),
  wolMacs: omit('WoLMACs', list(text)),
  services: omit('Services', list(service)),
  /** Clients leave it out when unchanged; the server keeps the last one. */
  netInfo: optional('NetInfo', netInfo),
  sshHostKeys: omit('sshHostKeys', list(text)),
  cloud: omit('Cloud', text),
  userspace: optional('Userspace', bool),
  userspaceRouter: optional('UserspaceRouter', bool),
  appConnector: optional('AppConnector', bool),
  servicesHash: omit('ServicesHash', text),
  peerRelay: omit('PeerRelay', bool),
  exitNodeId: omit('ExitNodeID', text),
  location: optional('Location', location),
  tpm: optional('TPM', raw),
  stateEncrypted: optional('StateEncrypted', bool),
})
export interface Hostinfo extends Out<typeof hostinfo> {}
export type HostinfoInput = In<typeof hostinfo>
