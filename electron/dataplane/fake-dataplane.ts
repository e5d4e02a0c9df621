// A data plane in memory: it notes what it is told, and tests push what would come up.

import type {
  Dataplane,
  DataplaneCounters,
  DataplanePeer,
  DataplaneRecord,
  FilterRule,
  PathSpec,
  PeerCounters,
  PeerId,
} from './dataplane.ts'

export interface RawSend {
  readonly endpoint: string
  readonly bytes: Uint8Array
  readonly geneve: { readonly vni: number; readonly control: boolean } | undefined
}

export interface DerpInjection {
  readonly region: number
  readonly packets: readonly Uint8Array[]
}

export class FakeDataplane implements Dataplane {
  readonly tunName: string
  ports: { readonly v4: number; readonly v6: number | undefined }

  peers: readonly DataplanePeer[] = []
  rules: readonly FilterRule[] = []
  localAddresses: readonly string[] = []
  /** The path of each peer now, trust included; gone when the peer is. */
  readonly paths = new Map<PeerId, PathSpec>()
  /** Every setPath call, in order. */
  readonly pathLog: { readonly peer: PeerId; readonly path: PathSpec }[] = []
  readonly raw: RawSend[] = []
  readonly injected: DerpInjection[] = []
  readonly tunnelPackets: { readonly peer: PeerId; readonly bytes: Uint8Array }[] = []
  readonly peerCounters = new Map<PeerId, PeerCounters>()
  totals: Record<string, number> = {}
  closed = false

  /** Lets a test answer a send, or refuse it with an errno name. */
  onSendRaw: ((send: RawSend) => string | undefined) | undefined

  #listener: ((records: readonly DataplaneRecord[]) => void) | undefined
  #waiting: DataplaneRecord[] = []

  constructor(tunName = 'fake0', udpPort = 41_641) {
    this.tunName = tunName
    this.ports = { v4: udpPort, v6: udpPort }
  }

  setPeers(peers: readonly DataplanePeer[]): void {
    this.peers = peers
    const ids = new Set(peers.map((peer) => peer.id))
    for (const id of this.paths.keys()) if (!ids.has(id)) this.paths.delete(id)
  }

  setFilter(rules: readonly FilterRule[], localAddresses: readonly string[]): void {
    this.rules = rules
    this.localAddresses = localAddresses
  }

  setPath(peer: PeerId, path: PathSpec): void {
    if (!this.peers.some((known) => known.id === peer)) return
    this.paths.set(peer, path)
    this.pathLog.push({ peer, path })
  }

  trust(peer: PeerId, untilMs: number): void {
    const path = this.paths.get(peer)
    if (path) this.paths.set(peer, { ...path, trustedUntilMs: untilMs })
  }

  sendRaw(endpoint: string, bytes: Uint8Array, geneve?: { vni: number; control: boolean }): string | undefined {
    const send = { endpoint, bytes: bytes.slice(), geneve }
    this.raw.push(send)
    return this.onSendRaw?.(send)
  }

  injectDerp(region: number, chunk: Uint8Array, spans: Uint32Array): void {
    const packets: Uint8Array[] = []
    for (let at = 0; at + 1 < spans.length; at += 2) {
      const start = spans[at] ?? 0
      packets.push(chunk.slice(start, start + (spans[at + 1] ?? 0)))
    }
    this.injected.push({ region, packets })
  }

  sendTunnel(peer: PeerId, ipPacket: Uint8Array): void {
    this.tunnelPackets.push({ peer, bytes: ipPacket.slice() })
  }

  onRecords(listener: (records: readonly DataplaneRecord[]) => void): void {
    this.#listener = listener
    const waiting = this.#waiting
    this.#waiting = []
    if (waiting.length > 0) listener(waiting)
  }

  /** What the data threads would send up, as one batch. Kept until someone listens. */
  push(...records: DataplaneRecord[]): void {
    if (this.closed) return
    if (this.#listener) this.#listener(records)
    else this.#waiting.push(...records)
  }

  counters(): DataplaneCounters {
    const none = { rxBytes: 0, txBytes: 0, lastHandshakeAt: 0, lastReceiveMs: 0, lastSendMs: 0, askingSinceMs: 0 }
    return {
      peers: this.peers.map(({ id }) => this.peerCounters.get(id) ?? { id, ...none }),
      totals: { ...this.totals },
    }
  }

  rebind(udpPort: number): void {
    const port = udpPort === 0 ? this.ports.v4 + 1 : udpPort
    this.ports = { v4: port, v6: this.ports.v6 === undefined ? undefined : port }
  }

  close(): void {
    this.closed = true
  }
}
