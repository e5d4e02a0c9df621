// Why a peer is not reached directly. Pure: facts in, one cause out, the first that the facts prove. A wrong cause sends people the
// wrong way, so every rule asks for proof, and `unknown` is an answer.
//
// Of two troubles the one that lies nearer to the person is named: it has to go first in any case, and what lies behind it is often
// only guessed while it lasts. From near to far:
//
//   1  this machine and its way to the network    udp-port-in-use, captive-portal, clock-off, derp-unreachable, offline-here
//   2  the other machine                          peer-key-expired, peer-offline
//   3  what people decided                        access-denied, path-rule
//   4  whether the other one answers              peer-no-home, peer-asleep
//   5  a direct path that is there                mtu-black-hole, data-dropped, direct-poor
//   6  UDP at all: here, there, a common family   udp-blocked-here or vpn-default-route, stun-unanswered, udp-blocked-there,
//                                                 no-common-family
//   7  one router in front of both                vpn-default-route, double-nat, hairpin-missing
//   8  the routers                                mapping-broken, vpn-default-route, double-nat, both-hard, hard-here, hard-there
//   9  all of that allows a path                  firewall-suspected
//
// A relay that would get around 6 to 8 and fails is named in their place. A direct path in use knows only 2, 3 and 5.

import type { DoctorCause, DoctorView } from '../../contract/doctor.ts'
import type { OwnFacts, PeerFacts } from './facts.ts'
import { isBehindTwo, mayShareLan, ownRouter, peerRouter, shareFamily, sharePublicAddress } from './reach.ts'
import { doctorWords } from './words.ts'

/** Reconnecting takes a moment; longer than this, the server is away. */
const DERP_AWAY_MS = 10_000
/** A direct path is found within two seconds, or with lost packets after a second round, five seconds later. */
const TRIED_MS = 15_000
/** WireGuard answers data within ten seconds, if only with an empty packet. */
const SILENT_MS = 15_000
/** A clock as wrong as this explains a certificate that is not valid yet, or not any more; a fresh one is minutes old. */
const CLOCK_OFF_MS = 10 * 60_000
/** A question over DERP is answered in much less. */
const ASKED_MS = 5_000
/** A control connection that is dead is known to be within 50 s; a machine that is counted as online after that is awake. */
const ONLINE_MS = 60_000
/** With traffic a machine looks at its network every 26 s, and the server passes on what it found. */
const PEER_LOOKS_MS = 40_000
/** A router is asked for a port within this, and the server passes on what it said. */
const SETTLED_MS = 6_000
/** From its start to its first home a machine takes some seconds. */
const HOMELESS_MS = 20_000
/** Endpoints that answer are asked at least as often as this while data flows on something worse. */
const ANSWERED_MS = 15_000
/** Heard as lately as this, a peer is not off, whatever the server still says. */
const HEARD_MS = 30_000

/** Causes that a peer relay would get around. */
const RELAY_HELPS: ReadonlySet<DoctorCause> = new Set([
  'both-hard',
  'hard-here',
  'hard-there',
  'double-nat',
  'hairpin-missing',
  'no-common-family',
])

/** Undefined for a peer that is reached directly. */
export function diagnose(own: OwnFacts, peer: PeerFacts): DoctorView | undefined {
  const found = causeOf(own, peer)
  if (found === undefined) return undefined
  const cause = RELAY_HELPS.has(found) && peer.failingRelay && peer.pathKind !== 'peer-relay' ? 'relay-fails' : found
  return { cause, ...doctorWords(cause, own, peer) }
}

function causeOf(own: OwnFacts, peer: PeerFacts): DoctorCause | undefined {
  if (own.problemCode === 'dataplane/port-in-use') return 'udp-port-in-use'
  const isDirect = peer.pathKind === 'direct'
  const here = isDirect ? undefined : ownTrouble(own)
  if (here !== undefined && here !== 'unknown') return here
  if (peer.expired) return 'peer-key-expired'
  if (isDirect)
    return peer.accessDenied ? 'access-denied' : peer.largePacketsLost === true ? 'mtu-black-hole' : undefined
  return here ?? peerTrouble(peer) ?? choice(peer) ?? udpTrouble(own, peer) ?? wayTrouble(own, peer) ?? untold(peer)
}

/** This machine cannot talk to anybody. */
function ownTrouble({ controlConnected, derp, captivePortal, clockOffsetMs }: OwnFacts): DoctorCause | undefined {
  if (captivePortal === true) return 'captive-portal'
  if (!derp || derp.connected || derp.awayMs < DERP_AWAY_MS) return undefined
  if (derp.badCertificateDate) return Math.abs(clockOffsetMs) >= CLOCK_OFF_MS ? 'clock-off' : 'derp-unreachable'
  // Only what was heard after the DERP server fell silent tells its trouble from this machine's.
  if (derp.udpSince === true || (controlConnected && derp.awayMs >= ONLINE_MS)) return 'derp-unreachable'
  return !controlConnected && derp.udpSince === false ? 'offline-here' : 'unknown'
}

/** The peer cannot be talked to, by whatever way. */
function peerTrouble(peer: PeerFacts): DoctorCause | undefined {
  const heard = peer.heardAgoMs !== undefined && peer.heardAgoMs < HEARD_MS
  // Between its login and its first home the server may count it as offline.
  const isNew = peer.homeRegion === undefined && peer.unchangedMs < HOMELESS_MS
  if (peer.online === false && !heard) return isNew ? 'unknown' : 'peer-offline'
  if (peer.accessDenied) return 'access-denied'
  if (peer.directForbidden) return 'path-rule'
  if (peer.homeRegion === undefined) return isNew ? 'unknown' : 'peer-no-home'
  // Nobody tells when one that left its DERP server is back; with a search under way it answers, or is said to be gone again.
  const goneFromHomeMs = (peer.searchingMs ?? 0) >= ASKED_MS ? (peer.goneFromHomeMs ?? -Infinity) : -Infinity
  const { unansweredMs = -Infinity } = peer
  if (goneFromHomeMs >= ONLINE_MS) return 'peer-no-home'
  // One that never was at its DERP server cannot be told from one that is off; silent before it left, it sleeps.
  const isSilent = unansweredMs >= SILENT_MS && unansweredMs > goneFromHomeMs
  if (isSilent && peer.homeRegionConnected === true) return 'peer-asleep'
  return goneFromHomeMs >= 0 ? 'unknown' : undefined
}

/** A direct path there is, and it is not worth using. */
function choice({ largePacketsLost, dataDropped, directAnsweredAgoMs }: PeerFacts): DoctorCause | undefined {
  if (largePacketsLost === true) return 'mtu-black-hole'
  if (dataDropped === true) return 'data-dropped'
  return directAnsweredAgoMs !== undefined && directAnsweredAgoMs < ANSWERED_MS ? 'direct-poor' : undefined
}

/** One end has no UDP at all, or no address that the other could use. */
function udpTrouble(own: OwnFacts, peer: PeerFacts): DoctorCause | undefined {
  const { network } = own
  if (!network || !own.hasStunServer) return undefined
  const there = peer.network?.workingUdp
  if (!network.udp) {
    // Blocked UDP looks like no network at all, unless something else gets through.
    if (own.derp?.connected === false) return 'unknown'
    // Two machines in one network do not need what the world answers.
    if (mayShareLan(own, peer) && there !== true) return 'unknown'
    // A server that stopped is news to the peer as well, once it has looked again; it looks while it sends.
    const lostMs = network.udpLostMs
    const knownMs = own.controlConnected ? Math.min(lostMs ?? 0, peer.talkingMs ?? 0) : 0
    const isStale = lostMs !== undefined && knownMs < PEER_LOOKS_MS
    if (isStale && there !== false) return undefined
    if (there !== true && !(own.somePeerHasUdp && lostMs === undefined)) return 'stun-unanswered'
    return own.vpnInterface === undefined ? 'udp-blocked-here' : 'vpn-default-route'
  }
  // A server that stopped is noticed at one end first.
  if (there === false) return network.checkedAgoMs < (peer.udpLostMs ?? Infinity) ? 'udp-blocked-there' : 'unknown'
  const shareNone = (['v4', 'v6'] as const).every((family) => shareFamily(family, own, peer) === 'no')
  return shareNone && !mayShareLan(own, peer) ? 'no-common-family' : undefined
}

/** Routers and what else lies between two ends that both have UDP. */
function wayTrouble(own: OwnFacts, peer: PeerFacts): DoctorCause | undefined {
  const { network } = own
  if (!network?.udp || peer.network?.workingUdp !== true) return undefined
  const tried = peer.searchingMs !== undefined && peer.searchingMs >= TRIED_MS
  const overV6 = shareFamily('v6', own, peer)
  if (sharePublicAddress(own, peer)) {
    if (!tried) return undefined
    if (mayShareLan(own, peer)) return 'firewall-suspected'
    // The exit of a VPN and the router of a carrier have many behind them, in houses far apart.
    if (own.vpnInterface !== undefined) return 'vpn-default-route'
    if (isBehindTwo(network)) return 'double-nat'
    return overV6 === 'no' ? 'hairpin-missing' : 'unknown'
  }
  // IPv6 has no NAT to blame, and where it works the routers of IPv4 explain nothing.
  if (overV6 === 'yes') return tried ? 'firewall-suspected' : undefined
  if ((overV6 === 'unknown' && !tried) || shareFamily('v4', own, peer) !== 'yes') return undefined
  return routerTrouble(own, peer, tried)
}

function routerTrouble(own: OwnFacts, peer: PeerFacts, tried: boolean): DoctorCause | undefined {
  const [here, there] = [ownRouter(own), peerRouter(peer)]
  // What a router maps is known some seconds after what it is.
  const isSettled = (own.network?.isMappingSettled === true || tried) && peer.unchangedMs >= SETTLED_MS
  if (here.kind === 'unknown' || there.kind === 'unknown' || !isSettled) return undefined
  const isPossible = here.kind === 'open' || there.kind === 'open' || (here.kind === 'easy' && there.kind === 'easy')
  if (isPossible) return tried ? 'firewall-suspected' : undefined
  if (here.isMapped || there.isMapped) return tried ? 'mapping-broken' : undefined
  // The same numbers in both networks: they may well be in one.
  if (mayShareLan(own, peer) && !tried) return undefined
  if (here.kind === 'easy') return 'hard-there'
  if (own.vpnInterface !== undefined) return 'vpn-default-route'
  if (own.network && isBehindTwo(own.network)) return 'double-nat'
  return there.kind === 'hard' ? 'both-hard' : 'hard-here'
}

function untold({ searchingMs }: PeerFacts): DoctorCause {
  if (searchingMs === undefined) return 'idle'
  return searchingMs < TRIED_MS ? 'looking' : 'unknown'
}
