// What a node tells its coordination server of the paths to its peers, so that the server can say where a relay would help:
// POST /machine/path-report inside the encrypted channel. An extension of our own; a server that takes it says so by a
// capability in the node's own CapMap, and other clients never ask for it.

import { always, type In, list, omit, optional, type Out, struct } from './tailcfg/schema.ts'
import { bool, float, id, int, nodeKey, text } from './tailcfg/scalars.ts'

export const PATH_REPORT_ROUTE = '/machine/path-report'
export const CAP_PATH_REPORT = 'peerway.internal/cap/path-report'

/** Of one report; the rest is left for the next. */
export const MAX_REPORTED_PEERS = 256
/** Peers that a server may have measured until the next report. */
export const MAX_MEASURED_PEERS = 8

export const peerReport = struct({
  node: always('Node', id),
  /** "direct", "peer-relay" or "derp". */
  kind: always('Kind', text),
  /** Of a round trip, smoothed; left out while it was not measured. */
  latencyMs: optional('LatencyMs', float),
  /** For a peer relay: the node that relays, where it is known. */
  relay: optional('Relay', id),
  /** It carried data since the report before. */
  isUsed: omit('Used', bool),
})
export interface PeerReport extends Out<typeof peerReport> {}

export const pathReport = struct({
  nodeKey: always('NodeKey', nodeKey),
  peers: always('Peers', list(peerReport)),
})
export interface PathReport extends Out<typeof pathReport> {}
export type PathReportInput = In<typeof pathReport>

export const pathReportAnswer = struct({
  /** When to report again. */
  afterSeconds: always('AfterSeconds', int),
  /** Whose latency to measure until then. */
  measure: omit('Measure', list(id)),
})
export interface PathReportAnswer extends Out<typeof pathReportAnswer> {}
