// What the router offers: all three protocols are asked at once from one socket.

import type { Clock } from '../base/clock.ts'
import { joinEndpoint, splitEndpoint } from '../base/endpoint.ts'
import {
  NAT_PMP_PORT,
  natPmpExternalAddressRequest,
  NAT_PMP_RESULT,
  readNatPmpResponse,
} from '../wire/natpmp/message.ts'
import { pcpAnnounceRequest, PCP_RESULT, PCP_VERSION, readPcpResponse } from '../wire/pcp/message.ts'
import { isGatewayDevice, readSsdpAnswer, SSDP_GROUP, SSDP_PORT, SSDP_TARGETS, ssdpSearch } from '../wire/upnp/ssdp.ts'
import { afterReading, readOrNothing } from './exchange.ts'
import type { Gateway, PortmapIo } from './portmap-io.ts'

/** NAT-PMP and PCP answer at once or not at all. */
const WINDOW_MS = 250
const AGAIN_MS = 125
/** Devices wait up to the second that the search allows (MX) before they answer. */
const UPNP_WINDOW_MS = 1_300
/** After the first answer of a router, for its other services. */
const UPNP_MORE_MS = 50
/** Of each protocol's; a flood is not read to its end. */
const MOST_PACKETS = 128
const MOST_LOCATIONS = 4

export interface Probed {
  readonly pmp: boolean
  readonly pcp: boolean
  /** Where the router describes its UPnP devices; none means no UPnP. */
  readonly locations: readonly string[]
}

export interface Probe {
  /** After the window for NAT-PMP and PCP, or as soon as both have answered. */
  readonly first: Promise<Probed>
  /** When UPnP has had its time too. */
  readonly whole: Promise<Probed>
}

export function probe(parts: { clock: Clock; io: PortmapIo; gateway: Gateway }, signal: AbortSignal): Probe {
  const { clock, io, gateway } = parts
  const locations = new Set<string>()
  let [pmp, pcp] = [false, false]
  const packets = { small: 0, upnp: 0 }
  const timers: (() => void)[] = []
  const found = (): Probed => ({ pmp, pcp, locations: [...locations].toSorted() })
  const server = joinEndpoint(gateway.address, NAT_PMP_PORT)
  const first = settler<Probed>()
  const whole = settler<Probed>()

  const port = io.openUdp(gateway.ownAddress, (from, bytes) => {
    if (splitEndpoint(from)?.address !== gateway.address) return
    if (++packets[from === server ? 'small' : 'upnp'] > MOST_PACKETS) return
    if (from !== server) hearUpnp(bytes)
    else if (bytes[0] === PCP_VERSION) pcp ||= readOrNothing(readPcpResponse, bytes)?.result === PCP_RESULT.success
    else pmp ||= readOrNothing(readNatPmpResponse, bytes)?.result === NAT_PMP_RESULT.success
    if (pmp && pcp) first.settle(found())
  })
  const hearUpnp = (bytes: Uint8Array): void => {
    const answer = readOrNothing(readSsdpAnswer, bytes)
    if (!answer || !isGatewayDevice(answer) || locations.size >= MOST_LOCATIONS) return
    if (locations.size === 0) timers.push(afterReading(clock, UPNP_MORE_MS, endWhenHeard))
    locations.add(answer.location)
  }
  const end = (): void => {
    for (const cancel of timers) cancel()
    signal.removeEventListener('abort', end)
    port.close()
    first.settle(found())
    whole.settle(found())
  }
  /** All that is awaited has come: NAT-PMP and PCP have no more time, or need none. */
  const endWhenHeard = (): void => {
    if (first.isSettled) end()
  }
  const askSmall = (): void => {
    if (!pmp) port.send(server, natPmpExternalAddressRequest())
    if (!pcp) port.send(server, pcpAnnounceRequest(gateway.ownAddress))
  }
  askSmall()
  // The router by its address first: a firewall here then lets its answers in.
  for (const to of [gateway.address, SSDP_GROUP])
    for (const target of SSDP_TARGETS) port.send(joinEndpoint(to, SSDP_PORT), ssdpSearch(target))
  timers.push(
    clock.after(AGAIN_MS, askSmall),
    afterReading(clock, WINDOW_MS, () => {
      first.settle(found())
      if (locations.size > 0) end()
    }),
    afterReading(clock, UPNP_WINDOW_MS, end),
  )
  signal.addEventListener('abort', end, { once: true })
  if (signal.aborted) end()
  return { first: first.promise, whole: whole.promise }
}

function settler<T>(): { readonly promise: Promise<T>; settle(value: T): void; readonly isSettled: boolean } {
  let resolve: (value: T) => void = () => {}
  let isSettled = false
  const promise = new Promise<T>((take) => (resolve = take))
  return {
    promise,
    settle(value) {
      isSettled = true
      resolve(value)
    },
    get isSettled() {
      return isSettled
    },
  }
}
