// The stock programs by name, or the reason why a test has to be skipped.

import { stockPeers } from './build.mjs'

export type StockName = 'tailscale-new' | 'tailscale-old' | 'headscale' | 'wireguard-go' | 'dex'

/** Why one of these cannot be run here; undefined when all can. */
export function stockUnavailable(...names: readonly StockName[]): string | undefined {
  const reasons = stockPeers().flatMap((peer) =>
    names.some((name) => name === peer.name) && peer.unavailable !== undefined ? [peer.unavailable] : [],
  )
  return reasons.length === 0 ? undefined : reasons.join('; ')
}

export function stockVersion(name: StockName): string {
  return stockPeers().find((peer) => peer.name === name)?.version ?? 'unknown'
}

/** The path of one program; throws when it is not built. */
export function stockBinary(name: StockName, binary: string): string {
  const peer = stockPeers().find((peer) => peer.name === name)
  const path = peer?.binaries[binary]
  if (peer === undefined || path === undefined) throw new Error(`there is no ${binary} in ${name}`)
  if (peer.unavailable !== undefined) throw new Error(peer.unavailable)
  return path
}
