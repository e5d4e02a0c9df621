// Finds and loads native/peerway.node, the only native code of the program.

import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { CodedError, messageOf } from '../base/errors.ts'

/** What native/napi/src/lib.rs exports. */
export interface Addon {
  readonly NativeDataplane: { open(options: AddonOpenOptions, wake: () => void): AddonDataplane }
  readonly NativeRelay: { open(options: AddonRelayOptions, wake: () => void): AddonRelay }
}

export interface AddonRelayOptions {
  readonly udpPort: number
  readonly firewallMark: number
  readonly originMs: number
}

export interface AddonRelay {
  ports(): { v4: number; v6?: number }
  bind(vni: number, first: string | undefined, second: string | undefined): void
  unbind(vni: number): void
  send(to: string, bytes: Uint8Array, vni: number | undefined, control: boolean): string | null
  expect(from: string, packets: number): void
  setRate(bytesPerSecond: number): void
  drain(into: Uint8Array): number
  arm(): boolean
  sessions(): { vni: number; sides: { lastSeenMs: number; packets: number; bytes: number }[] }[]
  totals(): { name: string; count: number }[]
  close(): void
}

export interface AddonOpenOptions {
  readonly privateKey: Uint8Array
  /** One of both. */
  readonly tunName?: string
  readonly tunFd?: number
  readonly mtuBytes: number
  readonly udpPort: number
  readonly firewallMark: number
  /** What the monotonic clock showed when `performance.now()` was 0. */
  readonly originMs: number
}

export interface AddonPeer {
  readonly id: number
  readonly publicKey: Uint8Array
  readonly allowedIps: readonly string[]
  readonly persistentKeepaliveSeconds: number
}

export interface AddonLeg {
  readonly endpoint?: string
  readonly vni?: number
  readonly region?: number
}

export interface AddonRule {
  readonly sources: readonly string[]
  readonly destinations: readonly { readonly ip: string; readonly firstPort: number; readonly lastPort: number }[]
  readonly protocols: readonly number[]
}

export interface AddonPeerCounters {
  readonly id: number
  readonly rxBytes: number
  readonly txBytes: number
  readonly lastHandshakeAt: number
  readonly lastReceiveMs: number
  readonly lastSendMs: number
  readonly askingSinceMs: number
}

export interface AddonDataplane {
  tunName(): string
  ports(): { v4: number; v6?: number }
  setPeers(peers: readonly AddonPeer[]): void
  setFilter(rules: readonly AddonRule[], localAddresses: readonly string[]): void
  setPath(peer: number, leg: AddonLeg | undefined, fallback: AddonLeg | undefined, trustedUntilMs: number): void
  trust(peer: number, untilMs: number): void
  sendRaw(to: string, bytes: Uint8Array, vni: number | undefined, control: boolean): string | null
  injectDerp(region: number, chunk: Uint8Array, spans: Uint32Array): void
  sendTunnel(peer: number, packet: Uint8Array): void
  /** Copies records; 0 when none wait. */
  drain(into: Uint8Array): number
  /** Asks for one call of `wake`; true when records wait already. */
  arm(): boolean
  totals(): { name: string; count: number }[]
  peerCounters(): AddonPeerCounters[]
  rebind(udpPort: number): void
  close(): void
}

let loaded: Addon | undefined

export function loadAddon(): Addon {
  loaded ??= load(process.env['PEERWAY_ADDON'] ?? addonFile(dirname(fileURLToPath(import.meta.url))))
  return loaded
}

function load(file: string): Addon {
  try {
    return createRequire(import.meta.url)(file) as Addon
  } catch (cause) {
    const reason = existsSync(file) ? messageOf(cause) : 'the file does not exist'
    const message = `The native addon ${file} does not load (${reason}). Build it for this system with \`npm run setup\`.`
    throw new CodedError('dataplane/no-addon', message, { cause })
  }
}

/**
 * The same from the sources and from the bundle in out/: the package's folder is the nearest above with our package.json.
 * Packaged by Electron, code lies in app.asar and native files beside it, because a library cannot be loaded from inside.
 */
function addonFile(from: string): string {
  for (let folder = from; ; folder = dirname(folder)) {
    if (isOurPackage(join(folder, 'package.json'))) {
      const file = join(folder, 'native', 'peerway.node')
      return file.replace(/([/\\]app\.asar)(?=[/\\])/, '$1.unpacked')
    }
    if (folder === dirname(folder)) return join(from, 'peerway.node')
  }
}

function isOurPackage(file: string): boolean {
  try {
    const parsed: unknown = JSON.parse(readFileSync(file, 'utf8'))
    return typeof parsed === 'object' && parsed !== null && 'name' in parsed && parsed.name === 'peerway'
  } catch {
    return false
  }
}
