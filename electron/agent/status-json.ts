// The status document of this field, as `tailscale status --json` names its members (ipn/ipnstate, type Status), so that
// scripts and a stock CLI read ours. `Path` per peer is our own addition (cli.md).

import type { AgentSnapshot, PathView, PeerView, SelfView, TrafficView } from '../contract/snapshot.ts'

const ZERO_TIME = '0001-01-01T00:00:00Z'

export function statusJson(snapshot: AgentSnapshot, traffic: TrafficView): Record<string, unknown> {
  const suffix = magicDnsSuffix(snapshot.self)
  const peers = Object.values(snapshot.peers)
  return {
    Version: snapshot.version,
    TUN: true,
    BackendState: backendState(snapshot),
    HaveNodeKey: snapshot.self !== undefined,
    AuthURL: snapshot.loginUrl ?? '',
    TailscaleIPs: snapshot.self ? snapshot.self.addresses : null,
    Self: snapshot.self ? selfJson(snapshot.self, snapshot) : null,
    Health: healthLines(snapshot),
    MagicDNSSuffix: suffix,
    CurrentTailnet: snapshot.tailnet
      ? { Name: snapshot.tailnet.name, MagicDNSSuffix: suffix, MagicDNSEnabled: false }
      : null,
    CertDomains: null,
    Peer: Object.fromEntries(peers.map((peer) => [peer.nodeKey, peerJson(peer, snapshot, traffic)])),
    User: users(snapshot),
    ClientVersion: null,
  }
}

/** "name.tail.example" → "tail.example". */
function magicDnsSuffix(self: SelfView | undefined): string {
  if (!self) return ''
  const dot = self.dnsName.indexOf('.')
  return dot < 0 ? '' : self.dnsName.slice(dot + 1)
}

function backendState(snapshot: AgentSnapshot): string {
  const names = { stopped: 'Stopped', 'needs-login': 'NeedsLogin', starting: 'Starting', running: 'Running' } as const
  return names[snapshot.state]
}

function healthLines(snapshot: AgentSnapshot): string[] {
  const lines = snapshot.warnings.map((warning) => warning.message)
  if (snapshot.problem) lines.unshift(snapshot.problem.message)
  return lines
}

function selfJson(self: SelfView, snapshot: AgentSnapshot): Record<string, unknown> {
  return {
    ...common(self),
    UserID: userNumber(self.ownerId),
    AllowedIPs: self.addresses.map(singleAddress),
    Addrs: self.endpoints,
    CurAddr: '',
    Relay: regionCode(snapshot, self.homeRegion),
    PeerRelay: '',
    RxBytes: 0,
    TxBytes: 0,
    LastWrite: ZERO_TIME,
    LastSeen: ZERO_TIME,
    LastHandshake: ZERO_TIME,
    Online: snapshot.controlConnected,
    Active: false,
    InNetworkMap: true,
    InMagicSock: false,
    InEngine: false,
    ...(self.keyExpiresAt === undefined ? {} : { KeyExpiry: time(self.keyExpiresAt) }),
  }
}

function peerJson(peer: PeerView, snapshot: AgentSnapshot, traffic: TrafficView): Record<string, unknown> {
  const counted = traffic.peers[peer.id]
  return {
    ...common(peer),
    UserID: userNumber(peer.ownerId),
    AllowedIPs: peer.allowedIps,
    ...(peer.tags.length > 0 ? { Tags: peer.tags } : {}),
    Addrs: [],
    CurAddr: peer.path.kind === 'direct' ? (peer.path.via ?? '') : '',
    Relay: regionCode(snapshot, peer.homeRegion),
    PeerRelay: peer.path.kind === 'peer-relay' ? (peer.path.via ?? '') : '',
    RxBytes: counted?.rxBytes ?? 0,
    TxBytes: counted?.txBytes ?? 0,
    LastWrite: ZERO_TIME,
    LastSeen: peer.lastSeenAt === undefined ? ZERO_TIME : time(peer.lastSeenAt),
    LastHandshake: counted && counted.lastHandshakeAt > 0 ? time(counted.lastHandshakeAt) : ZERO_TIME,
    Online: peer.online === true,
    Active: counted?.active ?? false,
    InNetworkMap: true,
    InMagicSock: true,
    InEngine: true,
    ...(peer.expired ? { Expired: true } : {}),
    Path: pathJson(peer.path),
    ...(peer.doctor ? { Doctor: peer.doctor } : {}),
  }
}

export function pathJson(path: PathView): Record<string, unknown> {
  return {
    kind: path.kind,
    via: path.via ?? null,
    latencyMs: path.latencyMs ?? null,
    since: time(path.sinceAt),
    reason: path.reason,
    reasonText: path.reasonText,
  }
}

function common(node: SelfView | PeerView): Record<string, unknown> {
  return {
    ID: node.id,
    PublicKey: node.nodeKey,
    HostName: node.hostName,
    DNSName: `${node.dnsName}.`,
    OS: node.os,
    TailscaleIPs: node.addresses,
    Created: ZERO_TIME,
    ExitNode: false,
    ExitNodeOption: false,
    PeerAPIURL: null,
    TaildropTarget: 0,
    NoFileSharingReason: '',
  }
}

function users(snapshot: AgentSnapshot): Record<string, unknown> {
  const profiles: Record<string, unknown> = {}
  const add = (id: string, login: string, name: string): void => {
    profiles[id] = { ID: userNumber(id), LoginName: login, DisplayName: name }
  }
  for (const peer of Object.values(snapshot.peers)) add(peer.ownerId, peer.ownerLogin, peer.ownerName)
  if (snapshot.self && snapshot.tailnet)
    add(snapshot.self.ownerId, snapshot.tailnet.account, snapshot.tailnet.accountName)
  return profiles
}

const regionCode = (snapshot: AgentSnapshot, region: number | undefined): string =>
  region === undefined ? '' : (snapshot.derpRegions[region]?.code ?? '')

/** A number in this document, whatever precision it loses past 2^53: its readers expect one. */
const userNumber = (id: string): number => Number(id) || 0

const singleAddress = (address: string): string => `${address}/${address.includes(':') ? 128 : 32}`

const time = (wallMs: number): string => new Date(wallMs).toISOString()
