// A relay forwarder without sockets, for tests of what decides over it.

import type { RelayForwarder, RelayRecord, RelaySessionCounters } from './relay-forwarder.ts'

interface Sent {
  readonly endpoint: string
  readonly bytes: Uint8Array
  readonly geneve: { readonly vni: number; readonly control: boolean } | undefined
}

export class FakeRelayForwarder implements RelayForwarder {
  readonly ports: { readonly v4: number; readonly v6: number | undefined }
  readonly bound = new Map<number, readonly [string | undefined, string | undefined]>()
  readonly sent: Sent[] = []
  readonly seen = new Map<number, RelaySessionCounters['sides']>()
  readonly totals: Record<string, number> = {}
  rate = 0
  closed = false
  #listener: ((records: readonly RelayRecord[]) => void) | undefined

  constructor(port = 40_000) {
    this.ports = { v4: port, v6: port }
  }

  bind(vni: number, sides: readonly [string | undefined, string | undefined]): void {
    this.bound.set(vni, sides)
  }

  unbind(vni: number): void {
    this.bound.delete(vni)
  }

  send(endpoint: string, bytes: Uint8Array, geneve?: { vni: number; control: boolean }): string | undefined {
    this.sent.push({ endpoint, bytes: bytes.slice(), geneve })
    return undefined
  }

  expect(): void {}

  setRate(bytesPerSecond: number): void {
    this.rate = bytesPerSecond
  }

  onRecords(listener: (records: readonly RelayRecord[]) => void): void {
    this.#listener = listener
  }

  push(...records: RelayRecord[]): void {
    if (!this.closed) this.#listener?.(records)
  }

  total(name: string, count: number): void {
    this.totals[name] = count
  }

  counters(): {
    readonly sessions: readonly RelaySessionCounters[]
    readonly totals: Readonly<Record<string, number>>
  } {
    const nothing = { lastSeenMs: 0, packets: 0, bytes: 0 }
    return {
      sessions: [...this.bound.keys()].map((vni) => ({ vni, sides: this.seen.get(vni) ?? [nothing, nothing] })),
      totals: { ...this.totals },
    }
  }

  close(): void {
    this.closed = true
  }
}
