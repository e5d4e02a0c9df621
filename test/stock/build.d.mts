/** One program of others, or a family of programs of one version. */
export interface StockPeer {
  readonly name: string
  readonly version: string
  readonly dir: string
  /** Where each binary is, or will be once it is built. */
  readonly binaries: Readonly<Record<string, string>>
  /** Why it cannot be used now, for the message of a skipped test. */
  readonly unavailable: string | undefined
}

export function stockPeers(): StockPeer[]
export function buildStockPeers(names?: readonly string[]): boolean
