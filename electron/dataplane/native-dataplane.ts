// The data plane in Rust, dressed as `Dataplane`.

import { CodedError, codeOf, messageOf } from '../base/errors.ts'

import { loadAddon } from './addon.ts'
import { RecordPump } from './record-pump.ts'

import type { AddonDataplane, AddonLeg, AddonOpenOptions } from './addon.ts'
import type {
  Dataplane,
  DataplaneCounters,
  DataplaneErrorCode,
  DataplaneOptions,
  DataplanePeer,
  DataplaneRecord,
  FilterRule,
  Leg,
  PathSpec,
  PeerId,
} from './dataplane.ts'

/** Taken once for all batches; larger than any record, which is at most a UDP datagram. */
const BATCH_BYTES = 512 * 1024

/** Batches read before other events of the loop get their turn. */
const BATCHES_PER_TURN = 8

/** Opens the TUN and the sockets and starts the data threads. Throws a CodedError with a `DataplaneErrorCode`. */
export function openDataplane(options: DataplaneOptions): Dataplane {
  return new NativeDataplane(options)
}

class NativeDataplane implements Dataplane {
  readonly #addon: AddonDataplane
  readonly #pump = new RecordPump({ batchBytes: BATCH_BYTES, batchesPerTurn: BATCHES_PER_TURN })
  readonly tunName: string

  constructor(options: DataplaneOptions) {
    const { NativeDataplane: native } = loadAddon()
    const { privateKey, tun, udpPort, firewallMark } = options
    const common = { privateKey, udpPort, firewallMark, mtuBytes: tun.mtuBytes, originMs: clockOrigin() }
    const given: AddonOpenOptions =
      tun.kind === 'name' ? { ...common, tunName: tun.name } : { ...common, tunFd: tun.fd }
    this.#addon = explained(options, () => native.open(given, () => this.#pump.drain()))
    this.#pump.connect(this.#addon)
    this.tunName = this.#addon.tunName()
  }

  get ports(): { readonly v4: number; readonly v6: number | undefined } {
    const { v4, v6 } = this.#addon.ports()
    return { v4, v6 }
  }

  setPeers(peers: readonly DataplanePeer[]): void {
    this.#addon.setPeers(peers)
  }

  setFilter(rules: readonly FilterRule[], localAddresses: readonly string[]): void {
    this.#addon.setFilter(rules, localAddresses)
  }

  setPath(peer: PeerId, path: PathSpec): void {
    this.#addon.setPath(
      peer,
      path.leg && addonLeg(path.leg),
      path.fallback && addonLeg(path.fallback),
      path.trustedUntilMs,
    )
  }

  trust(peer: PeerId, untilMs: number): void {
    this.#addon.trust(peer, untilMs)
  }

  sendRaw(endpoint: string, bytes: Uint8Array, geneve?: { vni: number; control: boolean }): string | undefined {
    return this.#addon.sendRaw(endpoint, bytes, geneve?.vni, geneve?.control ?? false) ?? undefined
  }

  injectDerp(region: number, chunk: Uint8Array, spans: Uint32Array): void {
    this.#addon.injectDerp(region, chunk, spans)
  }

  sendTunnel(peer: PeerId, ipPacket: Uint8Array): void {
    this.#addon.sendTunnel(peer, ipPacket)
  }

  onRecords(listener: (records: readonly DataplaneRecord[]) => void): void {
    this.#pump.listen(listener)
  }

  counters(): DataplaneCounters {
    const totals = Object.fromEntries(this.#addon.totals().map(({ name, count }) => [name, count]))
    return { peers: this.#addon.peerCounters(), totals }
  }

  rebind(udpPort: number): void {
    try {
      this.#addon.rebind(udpPort)
    } catch (cause) {
      throw coded(cause, { udpPort, tunName: this.tunName })
    }
  }

  close(): void {
    this.#pump.stop()
    this.#addon.close()
  }
}

/** Read in this order, times of records can seem late by a microsecond but never early, so no round trip is negative. */
export function clockOrigin(): number {
  const monotonicMs = Number(process.hrtime.bigint()) / 1e6
  return monotonicMs - performance.now()
}

function addonLeg(leg: Leg): AddonLeg {
  if (leg.kind === 'derp') return { region: leg.region }
  return leg.kind === 'relay' ? { endpoint: leg.endpoint, vni: leg.vni } : { endpoint: leg.endpoint }
}

interface Asked {
  readonly udpPort: number
  readonly tunName: string
}

function explained<T>(options: DataplaneOptions, open: () => T): T {
  try {
    return open()
  } catch (cause) {
    const tunName = options.tun.kind === 'name' ? options.tun.name : 'the passed TUN device'
    throw coded(cause, { udpPort: options.udpPort, tunName })
  }
}

/** The addon says what happened; a person also wants to know what to do about it. */
function coded(cause: unknown, asked: Asked): CodedError<DataplaneErrorCode> {
  const code = codeOf(cause)
  const [known, message] = explain(code, messageOf(cause), asked)
  return new CodedError(known, message, { cause })
}

function explain(code: string | undefined, detail: string, asked: Asked): [DataplaneErrorCode, string] {
  switch (code) {
    case 'dataplane/no-rights':
      return [
        code,
        `Opening the network device ${asked.tunName} needs root or CAP_NET_ADMIN (${detail}). ` +
          'Start with sudo, or give the service that right.',
      ]
    case 'dataplane/no-tun-device':
      return [
        code,
        `There is no /dev/net/tun (${detail}). Load the kernel module with \`modprobe tun\`, ` +
          'or pass the device to the container with `--device /dev/net/tun`.',
      ]
    case 'dataplane/tun-busy':
      return [
        code,
        `Another program uses the network device ${asked.tunName} (${detail}). ` +
          'Stop that program, or choose another device name.',
      ]
    case 'dataplane/port-in-use':
      return [
        code,
        `UDP port ${asked.udpPort} is taken (${detail}). Stop the program that has it, or choose another port; ` +
          '0 lets the system pick one.',
      ]
    default:
      return ['dataplane/failed', `The data plane does not work: ${detail}.`]
  }
}
