// One message of the map stream. Undefined members mean "unchanged", which for most of them is not the same as empty:
// control.md §5.4 and control/netmap.ts. Reference: tailscale tailcfg/tailcfg.go, type MapResponse.

import { derpMap } from './derp-map.ts'
import { dnsConfig } from './dns-config.ts'
import { filterRule } from './filter-rule.ts'
import { node, peerChange } from './node.ts'
import { always, dictionary, type In, list, omit, optional, orNull, type Out, struct, textKeys } from './schema.ts'
import { bool, bytes, float, id, idKeys, int, ip, text, time } from './scalars.ts'
import { sshPolicy } from './ssh-policy.ts'
import { userProfile } from './user.ts'

/** Control asks the node to prove that it is there; control.md §10.4. */
export const pingRequest = struct({
  /** Unique for each ping. */
  url: always('URL', text),
  urlIsNoise: omit('URLIsNoise', bool),
  log: omit('Log', bool),
  /** "", "c2n", or a list of "disco", "TSMP", "ICMP", "peerapi". */
  types: omit('Types', text),
  ip: omit('IP', ip),
  /** For c2n: a whole HTTP/1 request. */
  payload: omit('Payload', bytes),
})
export interface PingRequest extends Out<typeof pingRequest> {}

export const controlDialPlan = struct({
  candidates: always(
    'Candidates',
    list(
      struct({
        ip: omit('IP', ip),
        aceHost: omit('ACEHost', text),
        dialStartDelaySeconds: omit('DialStartDelaySec', float),
        dialTimeoutSeconds: omit('DialTimeoutSec', float),
        priority: omit('Priority', int),
      }),
    ),
  ),
})

export const clientVersion = struct({
  runningLatest: omit('RunningLatest', bool),
  latestVersion: omit('LatestVersion', text),
  urgentSecurityUpdate: omit('UrgentSecurityUpdate', bool),
  notify: omit('Notify', bool),
  notifyUrl: omit('NotifyURL', text),
  notifyText: omit('NotifyText', text),
})

export const displayMessage = struct({
  title: always('Title', text),
  text: always('Text', text),
  /** "high", "medium", "low". */
  severity: always('Severity', text),
  impactsConnectivity: omit('ImpactsConnectivity', bool),
  primaryAction: optional('PrimaryAction', struct({ url: always('URL', text), label: always('Label', text) })),
})
export interface DisplayMessage extends Out<typeof displayMessage> {}

export const debug = struct({
  sleepSeconds: omit('SleepSeconds', float),
  disableLogTail: omit('DisableLogTail', bool),
  exit: optional('Exit', int),
})

export const tkaInfo = struct({ head: omit('Head', text), disabled: omit('Disabled', bool) })

export const mapResponse = struct({
  mapSessionHandle: omit('MapSessionHandle', text),
  seq: omit('Seq', int),
  keepAlive: omit('KeepAlive', bool),
  pingRequest: optional('PingRequest', pingRequest),
  popBrowserUrl: omit('PopBrowserURL', text),
  node: optional('Node', node),
  derpMap: optional('DERPMap', derpMap),
  /** Not empty = the full list; empty or undefined = no change. */
  peers: optional('Peers', list(node)),
  peersChanged: optional('PeersChanged', list(node)),
  peersRemoved: optional('PeersRemoved', list(id)),
  peersChangedPatch: optional('PeersChangedPatch', list(peerChange)),
  /** true = seen now; false = forget when. */
  peerSeenChange: optional('PeerSeenChange', dictionary(idKeys, bool)),
  onlineChange: optional('OnlineChange', dictionary(idKeys, bool)),
  dnsConfig: optional('DNSConfig', dnsConfig),
  domain: omit('Domain', text),
  collectServices: optional('CollectServices', bool),
  /** Empty = nothing comes in. The same as the chunk "base" of `packetFilters`. */
  packetFilter: optional('PacketFilter', list(filterRule)),
  /** Named chunks; undefined deletes one, and under "*" all earlier ones. */
  packetFilters: optional('PacketFilters', dictionary(textKeys, orNull(list(filterRule)))),
  userProfiles: optional('UserProfiles', list(userProfile)),
  /** Empty = healthy. */
  health: optional('Health', list(text)),
  /** A patch: undefined deletes one, and under "*" all earlier ones. */
  displayMessages: optional('DisplayMessages', dictionary(textKeys, orNull(displayMessage))),
  sshPolicy: optional('SSHPolicy', sshPolicy),
  controlTimeMs: omit('ControlTime', time),
  tkaInfo: optional('TKAInfo', tkaInfo),
  domainDataPlaneAuditLogId: omit('DomainDataPlaneAuditLogID', text),
  debug: optional('Debug', debug),
  controlDialPlan: optional('ControlDialPlan', controlDialPlan),
  clientVersion: optional('ClientVersion', clientVersion),
  defaultAutoUpdate: optional('DefaultAutoUpdate', bool),
})
export interface MapResponse extends Out<typeof mapResponse> {}
export type MapResponseInput = In<typeof mapResponse>
