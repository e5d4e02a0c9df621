import { networkInterfaces } from 'node:os'
import { ipToBytes, parsePrefix, prefixContains, splitEndpoint } from '../base/endpoint.ts'
import type { PathHistoryView, PathPlaceView } from '../contract/path-history-view.ts'
import type { PathView } from '../contract/snapshot.ts'
import type { PathChange, PathPlace } from '../path/path-history.ts'
import type { PathView as FinderView } from '../path/path-view.ts'

/** A search for a direct path is worth the word "looking" only this long; after that it goes on quietly. */
const LOOKING_MS = 10_000

/** `nameOf` gives the name of the node with that node key. */
export function contractPath(
  view: FinderView,
  regionCode: (region: number) => string,
  nowWallMs: number,
  nameOf: (nodeKey: string) => string | undefined = () => undefined,
): PathView {
  return {
    kind: view.kind,
    lan: view.kind === 'direct' && view.endpoint !== undefined && isOnLink(view.endpoint, ownNetworks()),
    via: viaOf(view, regionCode, nameOf),
    latencyMs: view.latencyMs,
    looking: view.active && view.kind !== 'direct' && nowWallMs - view.sinceWallMs < LOOKING_MS,
    idle: !view.active,
    sinceAt: view.sinceWallMs,
    reason: view.reason,
    reasonText: view.reasonText,
  }
}

export function contractHistory(
  changes: readonly PathChange[],
  regionCode: (region: number) => string,
  nameOf: (nodeKey: string) => string | undefined,
): PathHistoryView {
  const place = (one: PathPlace): PathPlaceView => ({ kind: one.kind, via: viaOf(one, regionCode, nameOf) })
  return {
    changes: changes.map(({ atWallMs, from, to, reason, reasonText }) => ({
      at: atWallMs,
      from: place(from),
      to: place(to),
      reason,
      reasonText,
    })),
  }
}

function viaOf(
  { kind, region, relay, endpoint }: PathPlace,
  regionCode: (region: number) => string,
  nameOf: (nodeKey: string) => string | undefined,
): string | undefined {
  if (kind === 'derp') return region === undefined ? undefined : regionCode(region)
  // A relay that only the other side may ask need not be among the machines that we know.
  return (relay === undefined ? undefined : nameOf(relay)) ?? endpoint
}

/** The CIDRs of this machine's interfaces. */
function ownNetworks(): string[] {
  return Object.values(networkInterfaces()).flatMap((addresses) =>
    (addresses ?? []).flatMap(({ cidr, internal }) => (cidr !== null && !internal ? [cidr] : [])),
  )
}

/** True when the endpoint lies in a network this machine is in itself. */
export function isOnLink(endpoint: string, networks: readonly string[]): boolean {
  const address = ipToBytes(splitEndpoint(endpoint)?.address ?? '')
  if (!address) return false
  return networks.some((network) => {
    const prefix = parsePrefix(network)
    // A single address is no network that others could be in.
    return prefix !== undefined && prefix.bits < prefix.bytes.length * 8 && prefixContains(prefix, address)
  })
}
