// The relay's forwarding loop in Rust, dressed as `RelayForwarder`.

import { CodedError, codeOf, messageOf } from '../base/errors.ts'
import { type AddonRelay, loadAddon } from './addon.ts'
import { clockOrigin } from './native-dataplane.ts'
import type { DataplaneRecord } from './dataplane.ts'
import { RecordPump } from './record-pump.ts'
import type { RelayForwarder, RelayForwarderOptions, RelayRecord, RelaySessionCounters } from './relay-forwarder.ts'

/** Larger than any record: what comes up is small. */
const BATCH_BYTES = 64 * 1024
/** Batches read before other events of the loop get their turn. */
const BATCHES_PER_TURN = 4

export type RelayForwarderErrorCode =
  /** Another program has the port. The person picks another. */
  | 'relay/port-in-use'
  /** Anything else; the cause says what. */
  | 'relay/failed'

/** Opens the sockets and starts the forwarding thread. Throws a CodedError with a `RelayForwarderErrorCode`. */
export function openRelayForwarder(options: RelayForwarderOptions): RelayForwarder {
  return new NativeRelayForwarder(options)
}

class NativeRelayForwarder implements RelayForwarder {
  readonly #addon: AddonRelay
  readonly #pump = new RecordPump({ batchBytes: BATCH_BYTES, batchesPerTurn: BATCHES_PER_TURN })

  constructor({ udpPort, firewallMark }: RelayForwarderOptions) {
    try {
      const { NativeRelay } = loadAddon()
      this.#addon = NativeRelay.open({ udpPort, firewallMark, originMs: clockOrigin() }, () => this.#pump.drain())
      this.#pump.connect(this.#addon)
    } catch (cause) {
      throw explained(cause, udpPort)
    }
  }

  get ports(): { readonly v4: number; readonly v6: number | undefined } {
    const { v4, v6 } = this.#addon.ports()
    return { v4, v6 }
  }

  bind(vni: number, [first, second]: readonly [string | undefined, string | undefined]): void {
    this.#addon.bind(vni, first, second)
  }

  unbind(vni: number): void {
    this.#addon.unbind(vni)
  }

  send(endpoint: string, bytes: Uint8Array, geneve?: { vni: number; control: boolean }): string | undefined {
    return this.#addon.send(endpoint, bytes, geneve?.vni, geneve?.control ?? false) ?? undefined
  }

  expect(endpoint: string, packets: number): void {
    this.#addon.expect(endpoint, packets)
  }

  setRate(bytesPerSecond: number): void {
    this.#addon.setRate(bytesPerSecond)
  }

  onRecords(listener: (records: readonly RelayRecord[]) => void): void {
    this.#pump.listen((records) => listener(relayRecords(records)))
  }

  counters(): {
    readonly sessions: readonly RelaySessionCounters[]
    readonly totals: Readonly<Record<string, number>>
  } {
    const totals = Object.fromEntries(this.#addon.totals().map(({ name, count }) => [name, count]))
    return { sessions: this.#addon.sessions(), totals }
  }

  close(): void {
    this.#pump.stop()
    this.#addon.close()
  }
}

/** The queue is the data plane's, with four of its kinds. */
export function relayRecords(records: readonly DataplaneRecord[]): RelayRecord[] {
  return records.flatMap((record): RelayRecord[] => {
    switch (record.kind) {
      case 'geneve-control':
        return [{ kind: 'control', from: record.from, vni: record.vni ?? 0, bytes: record.bytes }]
      case 'disco':
      case 'stun':
        return [{ kind: record.kind, from: record.from, receivedAtMs: record.receivedAtMs, bytes: record.bytes }]
      case 'fatal':
        return [{ kind: 'fatal', message: record.message }]
      default:
        return []
    }
  })
}

function explained(cause: unknown, udpPort: number): CodedError {
  if (codeOf(cause) === 'dataplane/no-addon' && cause instanceof CodedError) return cause
  const detail = messageOf(cause)
  if (codeOf(cause) === 'dataplane/port-in-use')
    return new CodedError<RelayForwarderErrorCode>(
      'relay/port-in-use',
      `UDP port ${udpPort} is taken (${detail}), so this machine cannot relay there. Choose another port; 0 lets the system pick one.`,
      { cause },
    )
  return new CodedError<RelayForwarderErrorCode>('relay/failed', `Relaying does not work here: ${detail}.`, { cause })
}
