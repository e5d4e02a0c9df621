/** Totals since the start, but for `clients` and `connections`. */
export interface DerpServerCounters {
  /** Node keys connected now. */
  clients: number
  /** Connections now, with those that have not logged in yet. */
  connections: number
  accepted: number
  /** Turned away by the admission check. */
  refused: number
  /** Turned away because a bound on connections was reached. */
  refusedBusy: number
  /** Ended because the client took no bytes within the write deadline. */
  closedStuck: number
  bytesReceived: number
  packets: number
  packetBytes: number
  /** To keys that are not connected here. */
  droppedUnknown: number
  /** Pushed out of the queue of a client that does not take them fast enough. */
  droppedData: number
  droppedDisco: number
}

export const zeroCounters = (): DerpServerCounters => ({
  clients: 0,
  connections: 0,
  accepted: 0,
  refused: 0,
  refusedBusy: 0,
  closedStuck: 0,
  bytesReceived: 0,
  packets: 0,
  packetBytes: 0,
  droppedUnknown: 0,
  droppedData: 0,
  droppedDisco: 0,
})
