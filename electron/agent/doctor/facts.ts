// What the doctor judges by. Undefined always means "not known", never "no".

import type { Endpoint, IpAddress } from '../../base/endpoint.ts'
import type { PathKind } from '../../contract/snapshot.ts'

export interface OwnFacts {
  /** The code of what keeps the agent from running. */
  readonly problemCode: string | undefined
  readonly controlConnected: boolean
  /** Whether the home DERP region is connected, and for how long it has not been. Undefined while there is no home. */
  readonly derp:
    | {
        readonly connected: boolean
        readonly awayMs: number
        readonly badCertificateDate: boolean
        /** Since then: whether a STUN server answered; undefined before a check was made. */
        readonly udpSince: boolean | undefined
      }
    | undefined
  /** Undefined before the first network check. */
  readonly network: OwnNetworkFacts | undefined
  /** The DERP map names a STUN server. */
  readonly hasStunServer: boolean
  /** Addresses of this machine's interfaces, without the tunnel and loopback, and the networks they are in. */
  readonly addresses: readonly IpAddress[]
  readonly networks: readonly string[]
  /** The interface of another VPN that our packets leave by. */
  readonly vpnInterface: string | undefined
  readonly captivePortal: boolean | undefined
  /** Server time minus ours. */
  readonly clockOffsetMs: number
  /** Some peer that is online has reported that UDP works for it. */
  readonly somePeerHasUdp: boolean
}

export interface OwnNetworkFacts {
  /** How long ago that was looked at. */
  readonly checkedAgoMs: number
  /** Some STUN server answered; and by family. */
  readonly udp: boolean
  /** For how long none has, after one had in this same network; undefined when none ever did. */
  readonly udpLostMs: number | undefined
  readonly ipv4: boolean
  readonly ipv6: boolean
  readonly ipv4CanSend: boolean
  readonly ipv6CanSend: boolean
  readonly mappingVariesByDestIp: boolean | undefined
  /** As STUN servers saw us. */
  readonly observed: readonly Endpoint[]
  /** Where the router says that a mapped port leads to us from. */
  readonly portMapping: Endpoint | undefined
  /** The router itself has an address that is not public, or none: it stands behind another. */
  readonly routerIsBehindNat: boolean | undefined
  /** The router has been asked for a port, and that is over: it gave one, refused, or answers no such question. */
  readonly isMappingSettled: boolean
}

export interface PeerFacts {
  readonly name: string
  readonly pathKind: PathKind
  readonly expired: boolean
  readonly online: boolean | undefined
  /** The network's policy keeps it from talking to us, or it refused our packets for that reason. */
  readonly accessDenied: boolean
  readonly homeRegion: number | undefined
  /** Undefined while no connection to it was needed. */
  readonly homeRegionConnected: boolean | undefined
  readonly endpoints: readonly Endpoint[]
  /** What the peer says of its own network. */
  readonly network: PeerNetworkFacts | undefined
  /** It has said nothing else of its network for so long; its router may take a few seconds to be asked. */
  readonly unchangedMs: number
  /** For how long it has had no UDP, after it had; undefined when it never did. */
  readonly udpLostMs: number | undefined
  /** Data has been going out, with no direct path, for so long; undefined while idle. */
  readonly searchingMs: number | undefined
  /** Its home DERP region has said so long that it is not connected there. */
  readonly goneFromHomeMs: number | undefined
  /** Data or questions have been going out, and nothing came back, for so long. */
  readonly unansweredMs: number | undefined
  /** Data has been coming from it, without a longer pause, for so long: it is as awake to its network as we are. */
  readonly talkingMs: number | undefined
  /** Something authentic came from it so long ago. */
  readonly heardAgoMs: number | undefined
  /** A direct path answered so long ago, and later than another was taken; undefined when none did. */
  readonly directAnsweredAgoMs: number | undefined
  /** The path policy allows no direct path. */
  readonly directForbidden: boolean
  /** Small packets pass directly and large ones do not. */
  readonly largePacketsLost: boolean | undefined
  /** Pings pass directly and no data does. */
  readonly dataDropped: boolean | undefined
  /** A relay that both may use and where it fails. */
  readonly failingRelay: { readonly name: string; readonly step: string } | undefined
}

/** Signs of the peer's being there at all; monotonic ms. */
export interface PeerContact {
  /** The last sign of life by any way. */
  readonly heardAtMs: number | undefined
  /** The last question over DERP. */
  readonly askedAtMs: number | undefined
  /** The last answer from an endpoint of its own, used or not. */
  readonly directAnsweredAtMs: number | undefined
  /** When it last told that policy turned away what we sent. */
  readonly rejectedAtMs: number | undefined
  /** Since when, not heard since, the server of that DERP region says that the peer is not connected there. */
  readonly gone: { readonly region: number; readonly atMs: number } | undefined
}

export interface PeerNetworkFacts {
  readonly mappingVariesByDestIp: boolean | undefined
  readonly workingUdp: boolean | undefined
  readonly workingIpv6: boolean | undefined
  readonly havePortMap: boolean
}
