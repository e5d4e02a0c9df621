// The network that a machine is in, as its last network check found it.

export interface NetcheckView {
  /** Wall-clock ms when the check began. */
  readonly at: number
  /** Some STUN server answered. */
  readonly udp: boolean
  readonly ipv4: boolean
  readonly ipv6: boolean
  readonly ipv4CanSend: boolean
  readonly ipv6CanSend: boolean
  readonly osHasIpv6: boolean
  /** True is what people call a hard NAT. Undefined until two servers at different addresses have answered. */
  readonly mappingVariesByDestIp: boolean | undefined
  /** A web page wants a sign-in first. Undefined where nobody had reason to look. */
  readonly captivePortal: boolean | undefined
  /** Where this machine was seen from outside, and how many servers saw it there; the first seen first. */
  readonly publicEndpoints: readonly { readonly endpoint: string; readonly seen: number }[]
  readonly portMapping: PortMappingView
  readonly regions: readonly RegionCheckView[]
  /** The home DERP region. */
  readonly home: number | undefined
  /** What peers are told, in this order. */
  readonly endpoints: readonly string[]
}

/** Undefined protocols: there is no home router to ask. */
export interface PortMappingView {
  readonly upnp: boolean | undefined
  readonly pmp: boolean | undefined
  readonly pcp: boolean | undefined
  readonly endpoint: string | undefined
  readonly via: 'pmp' | 'pcp' | 'upnp' | undefined
  /** Why the router gave no mapping, in words. */
  readonly refusal: string | undefined
}

/** A DERP region; latencies in ms, undefined where nothing answered. */
export interface RegionCheckView {
  readonly id: number
  readonly code: string
  readonly name: string
  readonly latencyMs: number | undefined
  readonly v4Ms: number | undefined
  readonly v6Ms: number | undefined
}
