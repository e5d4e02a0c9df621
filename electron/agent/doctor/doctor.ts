// Gathers what the doctor judges by from the running session, remembers what only time tells, and keeps each peer's
// diagnosis. Looks when something changed, and every few seconds.

import type { NetworkInterfaceInfo } from 'node:os'
import type { Clock } from '../../base/clock.ts'
import type { DoctorView } from '../../contract/doctor.ts'
import type { PathView } from '../../contract/snapshot.ts'
import { isExpired, type Netmap } from '../../control/netmap.ts'
import type { PeerCounters } from '../../dataplane/dataplane.ts'
import type { DerpRegionStatus } from '../../derp/derp-pool.ts'
import type { Flaw } from '../../path/avoidance.ts'
import { allowsDirect, type PathPolicy } from '../../path/path-policy.ts'
import type { RelayFailure, RelayFailureStep } from '../../path/relay-client.ts'
import type { NetcheckReport } from '../../path/report.ts'
import type { PortmapView } from '../../portmap/portmap-io.ts'
import type { Node } from '../../wire/tailcfg/node.ts'
import { diagnose } from './diagnose.ts'
import type { OwnFacts, OwnNetworkFacts, PeerContact, PeerFacts } from './facts.ts'

/** Counters of a thousand peers cost a millisecond or so. */
const COUNT_MS = 1_000
/** Sampled every five seconds at the least. */
const PAUSE_MS = 12_000
/** Between two looks at the network while the home DERP server is away. */
const CHECK_MS = 20_000
/** A question over DERP is answered in much less. */
const ANSWER_MS = 5_000
/** An answer may come late to a question that was asked while the path was direct. */
const LATE_ANSWER_MS = 2_000
/** What is sent in vain is sent again within this, or is given up. */
const REJECTED_MS = 60_000
/** A program is asked for it. */
const VPN_MS = 30_000

export interface DoctorSources {
  readonly netmap: Netmap
  /** By the node key's text, as in `counters`. */
  readonly paths: ReadonlyMap<string, PathView>
  readonly controlConnected: boolean
  readonly report: NetcheckReport | undefined
  readonly portMapping: PortmapView
  readonly derpStatus: readonly DerpRegionStatus[]
  /** Without the tunnel. */
  readonly interfaces: NodeJS.Dict<NetworkInterfaceInfo[]>
  counters(): ReadonlyMap<string, PeerCounters>
  /** Where the last way through a relay to that peer ended, when none works. */
  relayFailure(nodeKey: string): RelayFailure | undefined
  contact(nodeKey: string): PeerContact
  /** Has the network looked at anew; the report comes when it is done. */
  check(): void
  pathPolicy(nodeKey: string): PathPolicy
  /** Of paths that answer and are left alone. */
  pathFlaws(nodeKey: string): readonly Flaw[]
}

interface PeerTimes {
  /** Since when data goes out without a direct path. */
  readonly searchingSinceMs: number | undefined
  /** Since when data comes in without a longer pause. */
  readonly talking: { readonly sinceMs: number; readonly rxBytes: number; readonly atMs: number } | undefined
  /** Since when nothing came back, and what had come last then. */
  readonly unanswered: { readonly sinceMs: number; readonly heardAtMs: number } | undefined
}

/** What a peer last told of its network, and since when. */
interface Told {
  readonly text: string
  readonly sinceMs: number
  readonly hasUdp: boolean | undefined
  readonly udpLostAtMs: number | undefined
}

/** The port mapper's words for a router with an address of a carrier's range, or without any. */
const BEHIND_ANOTHER = /behind another|no external address/

const NO_UDP_YET = { hasWorked: false, lostAtMs: undefined }
const NO_TIMES: PeerTimes = { searchingSinceMs: undefined, talking: undefined, unanswered: undefined }

export class Doctor {
  readonly #clock: Clock
  readonly #vpnOnRoute: () => Promise<string | undefined>
  readonly #times = new Map<string, PeerTimes>()
  readonly #told = new Map<string, Told>()
  #views: ReadonlyMap<string, DoctorView> = new Map()
  #counters: ReadonlyMap<string, PeerCounters> = new Map()
  #countedAtMs = -Infinity
  #udp: { readonly hasWorked: boolean; readonly lostAtMs: number | undefined } = NO_UDP_YET
  /** When this machine came into the network it is in; checks from before tell of another. */
  #changedAtMs = -Infinity
  #derpAwaySinceMs: number | undefined
  #checkedAtMs = -Infinity
  #vpnInterface: string | undefined
  #isVpnKnown = false
  #vpnAskedAtMs = -Infinity

  constructor(clock: Clock, vpnOnRoute: () => Promise<string | undefined>) {
    this.#clock = clock
    this.#vpnOnRoute = vpnOnRoute
  }

  /** The diagnosis of each peer without a direct path, by the node key's text. */
  get views(): ReadonlyMap<string, DoctorView> {
    return this.#views
  }

  /** True when some diagnosis changed. */
  look(sources: DoctorSources): boolean {
    const nowMs = this.#clock.now()
    this.#askForVpn(nowMs)
    if (nowMs - this.#countedAtMs >= COUNT_MS) {
      this.#countedAtMs = nowMs
      this.#counters = sources.counters()
    }
    const isCurrent = this.#isVpnKnown && (sources.report?.startedAtMs ?? 0) >= this.#changedAtMs
    const report = isCurrent ? sources.report : undefined
    if (report) this.#noteUdp(report.udp, nowMs)
    const { lostAtMs } = this.#udp
    const udpLostMs = lostAtMs === undefined ? undefined : nowMs - lostAtMs
    const derpAwaySinceMs = this.#noteDerp(sources.derpStatus, nowMs)
    const own = ownFacts({ ...sources, report }, udpLostMs, this.#vpnInterface, derpAwaySinceMs, nowMs)
    if (this.#derpAwaySinceMs !== undefined) this.#checkNetwork(sources, nowMs)
    const views = new Map<string, DoctorView>()
    for (const peer of sources.netmap.peers.values()) {
      const key = peer.key.text
      const path = sources.paths.get(key)
      const counted = this.#counters.get(key)
      const contact = sources.contact(key)
      const times = nextTimes(this.#times.get(key) ?? NO_TIMES, path, counted, contact, nowMs)
      this.#times.set(key, times)
      const told = nextTold(this.#told.get(key), peer, nowMs)
      this.#told.set(key, told)
      const isOver = isExpired(sources.netmap, peer, this.#clock.wallNow())
      const found = diagnose(
        own,
        peerFacts(peer, isOver, sources, path, lastHeardMs(counted, contact), contact, times, told, nowMs),
      )
      const before = this.#views.get(key)
      if (found) views.set(key, before && isSame(before, found) ? before : found)
    }
    const keys = new Set([...sources.netmap.peers.values()].map((peer) => peer.key.text))
    for (const key of this.#told.keys()) if (!keys.has(key)) this.#told.delete(key)
    for (const key of this.#times.keys()) if (!this.#counters.has(key) && !views.has(key)) this.#times.delete(key)
    const changed = views.size !== this.#views.size || [...views].some(([key, view]) => this.#views.get(key) !== view)
    this.#views = views
    return changed
  }

  /** The machine is in another network. */
  networkChanged(): void {
    this.#changedAtMs = this.#clock.now()
    this.#isVpnKnown = false
    this.#vpnAskedAtMs = -Infinity
    this.#times.clear()
    this.#derpAwaySinceMs = undefined
    this.#udp = NO_UDP_YET
  }

  /** Since when the home DERP region is not connected; now, when it is. Each try to connect anew is a new state of the link. */
  #noteDerp(status: readonly DerpRegionStatus[], nowMs: number): number {
    const home = status.find(({ isHome }) => isHome)
    const lostAtMs = this.#derpAwaySinceMs ?? home?.lastFrameMs ?? nowMs
    this.#derpAwaySinceMs = home && !answers(home) ? lostAtMs : undefined
    return this.#derpAwaySinceMs ?? nowMs
  }

  /** Without its DERP server a machine may be quiet, and would not look at its network of itself. */
  #checkNetwork(sources: DoctorSources, nowMs: number): void {
    const lookedAtMs = Math.max(sources.report?.startedAtMs ?? -Infinity, this.#checkedAtMs)
    if (nowMs - lookedAtMs < CHECK_MS) return
    this.#checkedAtMs = nowMs
    sources.check()
  }

  #noteUdp(works: boolean, nowMs: number): void {
    if (works) this.#udp = { hasWorked: true, lostAtMs: undefined }
    else if (this.#udp.hasWorked) this.#udp = { hasWorked: true, lostAtMs: this.#udp.lostAtMs ?? nowMs }
  }

  #askForVpn(nowMs: number): void {
    if (nowMs - this.#vpnAskedAtMs < VPN_MS) return
    this.#vpnAskedAtMs = nowMs
    const tell = (name: string | undefined): void => {
      // Asked in the network before.
      if (this.#vpnAskedAtMs !== nowMs) return
      this.#vpnInterface = name
      this.#isVpnKnown = true
    }
    this.#vpnOnRoute().then(tell, () => tell(undefined))
  }
}

const isSame = (a: DoctorView, b: DoctorView): boolean =>
  a.cause === b.cause && a.text === b.text && a.nextStep === b.nextStep

function nextTold(before: Told | undefined, { homeDerp, hostinfo }: Node, nowMs: number): Told {
  const { mappingVariesByDestIp, workingUdp, workingIpv6, havePortMap } = hostinfo?.netInfo ?? {}
  const text = JSON.stringify([homeDerp, mappingVariesByDestIp, workingUdp, workingIpv6, havePortMap])
  if (before?.text === text) return before
  const lost = before?.hasUdp === true ? nowMs : before?.udpLostAtMs
  return { text, sinceMs: nowMs, hasUdp: workingUdp, udpLostAtMs: workingUdp === false ? lost : undefined }
}

function nextTimes(
  before: PeerTimes,
  path: PathView | undefined,
  counted: PeerCounters | undefined,
  contact: PeerContact,
  nowMs: number,
): PeerTimes {
  if (!path || path.idle || path.kind === 'direct') return NO_TIMES
  const searchingSinceMs = before.searchingSinceMs ?? nowMs
  const talking = counted && nextTalking(before.talking, counted.rxBytes, nowMs)
  const unanswered = nextUnanswered(before.unanswered, counted, contact, nowMs)
  return { searchingSinceMs, talking, unanswered }
}

/** The last thing authentic from the peer, data or not; 0 for none. */
const lastHeardMs = (counted: PeerCounters | undefined, { heardAtMs }: PeerContact): number =>
  Math.max(counted?.lastReceiveMs ?? 0, heardAtMs ?? 0)

function nextUnanswered(
  before: PeerTimes['unanswered'],
  counted: PeerCounters | undefined,
  contact: PeerContact,
  nowMs: number,
): PeerTimes['unanswered'] {
  const heardAtMs = lastHeardMs(counted, contact)
  if (before?.heardAtMs === heardAtMs) return before
  if (counted && counted.lastSendMs > heardAtMs) return { sinceMs: nowMs, heardAtMs }
  const { askedAtMs = 0 } = contact
  return askedAtMs > heardAtMs && nowMs - askedAtMs >= ANSWER_MS ? { sinceMs: askedAtMs, heardAtMs } : undefined
}

function nextTalking(before: PeerTimes['talking'], rxBytes: number, nowMs: number): PeerTimes['talking'] {
  if (!before || nowMs - before.atMs > PAUSE_MS) return { sinceMs: nowMs, rxBytes, atMs: nowMs }
  return rxBytes > before.rxBytes ? { ...before, rxBytes, atMs: nowMs } : before
}

const answers = ({ connected, silent }: DerpRegionStatus): boolean => connected && !silent

function ownFacts(
  sources: DoctorSources,
  udpLostMs: number | undefined,
  vpnInterface: string | undefined,
  derpAwaySinceMs: number,
  nowMs: number,
): OwnFacts {
  const { netmap, report, portMapping, derpStatus, interfaces } = sources
  const addresses = Object.values(interfaces).flatMap((list) => (list ?? []).filter(({ internal }) => !internal))
  const home = derpStatus.find(({ isHome }) => isHome)
  const isNewer = home !== undefined && !answers(home) && report !== undefined && report.startedAtMs > derpAwaySinceMs
  return {
    problemCode: undefined,
    controlConnected: sources.controlConnected,
    derp: home && {
      connected: answers(home),
      awayMs: nowMs - derpAwaySinceMs,
      udpSince: isNewer ? report?.udp : undefined,
      badCertificateDate: home.errorCode === 'derp/wrong-certificate' && /valid|expired/i.test(home.errorText ?? ''),
    },
    network: report && networkFacts(report, udpLostMs, portMapping, nowMs),
    hasStunServer: [...(netmap.derpMap.regions?.values() ?? [])].some((region) =>
      region.nodes.some(({ stunPort }) => stunPort !== -1),
    ),
    addresses: addresses.map(({ address }) => address),
    networks: addresses.flatMap(({ cidr }) => (cidr === null ? [] : [cidr])),
    vpnInterface,
    // A home that answered after the last check has outlived what that found.
    captivePortal: home === undefined || isNewer ? report?.captivePortal : undefined,
    clockOffsetMs: netmap.clockOffsetMs,
    somePeerHasUdp: [...netmap.peers.values()].some(
      (peer) => peer.online === true && peer.hostinfo?.netInfo?.workingUdp === true,
    ),
  }
}

function networkFacts(
  report: NetcheckReport,
  udpLostMs: number | undefined,
  { endpoint, refusal, upnp, pmp, pcp }: PortmapView,
  nowMs: number,
): OwnNetworkFacts {
  return {
    checkedAgoMs: nowMs - report.startedAtMs,
    udp: report.udp,
    udpLostMs,
    ipv4: report.ipv4,
    ipv6: report.ipv6,
    ipv4CanSend: report.ipv4CanSend,
    ipv6CanSend: report.ipv6CanSend,
    mappingVariesByDestIp: report.mappingVariesByDestIp,
    observed: [...report.observed.keys()],
    portMapping: endpoint,
    // Its IPv4 works, so an address there is.
    routerIsBehindNat: report.ipv4 && refusal !== undefined && BEHIND_ANOTHER.test(refusal) ? true : undefined,
    isMappingSettled:
      endpoint !== undefined || refusal !== undefined || (upnp === false && pmp === false && pcp === false),
  }
}

function peerFacts(
  peer: Node,
  expired: boolean,
  sources: DoctorSources,
  path: PathView | undefined,
  heardAtMs: number,
  { gone, directAnsweredAtMs = 0, rejectedAtMs = -Infinity }: PeerContact,
  { searchingSinceMs, talking, unanswered }: PeerTimes,
  told: Told,
  nowMs: number,
): PeerFacts {
  const homeRegion = peer.homeDerp === 0 ? undefined : peer.homeDerp
  const link = sources.derpStatus.find(({ region }) => region === homeRegion)
  const kind = path?.kind ?? 'none'
  const policy = sources.pathPolicy(peer.key.text)
  const flaws = kind === 'direct' ? [] : sources.pathFlaws(peer.key.text)
  return {
    name: firstLabel(peer),
    pathKind: kind,
    expired,
    online: peer.online,
    accessDenied: peer.isJailed || nowMs - rejectedAtMs < REJECTED_MS,
    homeRegion,
    homeRegionConnected: link === undefined || link.state === 'idle' ? undefined : link.connected,
    endpoints: peer.endpoints,
    network: peer.hostinfo?.netInfo,
    unchangedMs: nowMs - told.sinceMs,
    udpLostMs: told.udpLostAtMs === undefined ? undefined : nowMs - told.udpLostAtMs,
    searchingMs: searchingSinceMs === undefined ? undefined : nowMs - searchingSinceMs,
    goneFromHomeMs: gone && gone.region === homeRegion && gone.atMs >= heardAtMs ? nowMs - gone.atMs : undefined,
    unansweredMs: unanswered === undefined ? undefined : nowMs - unanswered.sinceMs,
    talkingMs: talking && talking.atMs - talking.sinceMs,
    heardAgoMs: heardAtMs > 0 ? nowMs - heardAtMs : undefined,
    directAnsweredAgoMs:
      directAnsweredAtMs > (searchingSinceMs ?? Infinity) + LATE_ANSWER_MS ? nowMs - directAnsweredAtMs : undefined,
    directForbidden: !allowsDirect(policy) || (policy.mode === 'prefer-relay' && kind === 'peer-relay'),
    largePacketsLost: flaws.includes('large-lost'),
    dataDropped: flaws.includes('data-dropped'),
    failingRelay: kind === 'peer-relay' ? undefined : failingRelay(sources, peer.key.text),
  }
}

const RELAY_STEPS: Readonly<Record<RelayFailureStep, string>> = {
  'no-answer': 'it answers no request',
  'no-challenge': 'its UDP port cannot be reached from here',
  'no-pong': 'this computer reaches it, and the other one does not',
}

function failingRelay(sources: DoctorSources, nodeKey: string): PeerFacts['failingRelay'] {
  const { netmap } = sources
  const failure = sources.relayFailure(nodeKey)
  if (!failure) return undefined
  const relay = [...netmap.peers.values()].find(({ key }) => key.text === failure.node)
  // One that is off, or relays no more, is nothing to mend on the way.
  if (!relay || relay.online === false || relay.hostinfo?.peerRelay !== true) return undefined
  return { name: firstLabel(relay), step: RELAY_STEPS[failure.step] }
}

const firstLabel = ({ name }: Node): string => name.split('.')[0] ?? name
