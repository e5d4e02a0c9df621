// The three frames that open a connection: ServerKey, ClientInfo, ServerInfo, in this order. The two infos are JSON in a
// NaCl box between the client's node key and the server's key: that the box opens proves that the client holds its key.
//
//   ServerKey    8 magic "DERP🔑" · 32 server key · anything
//   ClientInfo  32 client key · 24 nonce · box(JSON)
//   ServerInfo  24 nonce · box(JSON)
//
// Reference: tailscale derp/derp_client.go, derp/derpserver; protocol notes paths.md §3.3. JSON names are exact.

import { fromUtf8, utf8 } from '../../base/bytes.ts'
import { BOX_NONCE_BYTES, BOX_OVERHEAD_BYTES, randomNonce, SharedBox } from '../../crypto/box.ts'
import { NodePublic, type NodePrivate } from '../../crypto/keys.ts'
import { WireError, type Codec } from '../codec.ts'
import { DERP_PROTOCOL_VERSION, FrameType, NODE_KEY_BYTES } from './frame.ts'

const MAGIC = Uint8Array.of(0x44, 0x45, 0x52, 0x50, 0xf0, 0x9f, 0x94, 0x91)

/** A server key frame may grow by fields of later versions, up to this. */
export const MAX_SERVER_KEY_BYTES = 1024
/** Ours; the reference server takes 256 KiB from clients it knows nothing of. */
export const MAX_CLIENT_INFO_BYTES = 16 * 1024

export interface ServerKey {
  readonly key: NodePublic
}

export const serverKey: Codec<ServerKey> = {
  tag: FrameType.serverKey,
  size: () => MAGIC.length + NODE_KEY_BYTES,
  write(m, to) {
    to.bytes(MAGIC)
    to.bytes(m.key.bytes)
  },
  read(from) {
    const magic = from.bytes(MAGIC.length)
    if (!magic.every((byte, i) => byte === MAGIC[i]))
      throw new WireError('wire/bad-value', 'Not a DERP server key frame.')
    return { key: new NodePublic(from.bytes(NODE_KEY_BYTES)) }
  },
}

export interface SealedClientInfo {
  /** A claim until the box has opened. */
  readonly clientKey: NodePublic
  readonly nonce: Uint8Array
  readonly box: Uint8Array
}

export const clientInfo: Codec<SealedClientInfo> = {
  tag: FrameType.clientInfo,
  size: (m) => NODE_KEY_BYTES + BOX_NONCE_BYTES + m.box.length,
  write(m, to) {
    to.bytes(m.clientKey.bytes)
    to.bytes(m.nonce)
    to.bytes(m.box)
  },
  read(from) {
    return {
      clientKey: new NodePublic(from.bytes(NODE_KEY_BYTES)),
      nonce: from.bytes(BOX_NONCE_BYTES),
      box: from.rest(),
    }
  },
}

export interface SealedServerInfo {
  readonly nonce: Uint8Array
  readonly box: Uint8Array
}

export const serverInfo: Codec<SealedServerInfo> = {
  tag: FrameType.serverInfo,
  size: (m) => BOX_NONCE_BYTES + m.box.length,
  write(m, to) {
    to.bytes(m.nonce)
    to.bytes(m.box)
  },
  read(from) {
    return { nonce: from.bytes(BOX_NONCE_BYTES), box: from.rest() }
  },
}

/** What a client says of itself. */
export interface ClientInfo {
  readonly version: number
  readonly canAckPings: boolean
  readonly isProber: boolean
  readonly appName: string | undefined
  /** 64 hex digits: the secret that servers of one region share. */
  readonly meshKey: string | undefined
}

/** What a server grants. */
export interface ServerInfo {
  readonly version: number
  /** The sending rate to keep to; undefined = none asked for. */
  readonly tokenBucketBytesPerSecond: number | undefined
  readonly tokenBucketBytesBurst: number | undefined
}

export function encodeClientInfoJson(info: ClientInfo): Uint8Array {
  return utf8(
    JSON.stringify({
      meshKey: info.meshKey,
      version: info.version,
      CanAckPings: info.canAckPings,
      IsProber: info.isProber || undefined,
      AppName: info.appName === '' ? undefined : info.appName,
    }),
  )
}

/** Fields that are missing or of another type read as unset: other clients spell some of them differently. */
export function decodeClientInfoJson(json: Uint8Array): ClientInfo {
  const fields = parseObject(json)
  const appName = fields['AppName']
  const meshKey = fields['meshKey']
  return {
    version: count(fields['version']) ?? DERP_PROTOCOL_VERSION,
    canAckPings: fields['CanAckPings'] === true,
    isProber: fields['IsProber'] === true,
    appName: typeof appName === 'string' && appName !== '' ? appName.slice(0, 100) : undefined,
    meshKey: typeof meshKey === 'string' && /^[0-9a-f]{64}$/i.test(meshKey) ? meshKey : undefined,
  }
}

export function encodeServerInfoJson(info: ServerInfo): Uint8Array {
  return utf8(
    JSON.stringify({
      version: info.version,
      TokenBucketBytesPerSecond: info.tokenBucketBytesPerSecond,
      TokenBucketBytesBurst: info.tokenBucketBytesBurst,
    }),
  )
}

export function decodeServerInfoJson(json: Uint8Array): ServerInfo {
  const fields = parseObject(json)
  return {
    version: count(fields['version']) ?? DERP_PROTOCOL_VERSION,
    tokenBucketBytesPerSecond: count(fields['TokenBucketBytesPerSecond']) || undefined,
    tokenBucketBytesBurst: count(fields['TokenBucketBytesBurst']) || undefined,
  }
}

/** `nonce` is given by tests only. */
export function sealClientInfo(
  client: NodePrivate,
  server: NodePublic,
  info: ClientInfo,
  nonce: Uint8Array = randomNonce(),
): SealedClientInfo {
  const box = new SharedBox(client.secretBytes(), server.bytes).seal(encodeClientInfoJson(info), nonce)
  return { clientKey: client.public, nonce, box }
}

/** Throws 'wire/bad-value' when the sender does not hold the key it claims. */
export function openClientInfo(server: NodePrivate, sealed: SealedClientInfo): ClientInfo {
  if (sealed.clientKey.isZero) throw new WireError('wire/bad-value', 'The client claims the zero key.')
  return decodeClientInfoJson(open(server.secretBytes(), sealed.clientKey, sealed.nonce, sealed.box))
}

/** `nonce` is given by tests only. */
export function sealServerInfo(
  server: NodePrivate,
  client: NodePublic,
  info: ServerInfo,
  nonce: Uint8Array = randomNonce(),
): SealedServerInfo {
  return { nonce, box: new SharedBox(server.secretBytes(), client.bytes).seal(encodeServerInfoJson(info), nonce) }
}

export function openServerInfo(client: NodePrivate, server: NodePublic, sealed: SealedServerInfo): ServerInfo {
  return decodeServerInfoJson(open(client.secretBytes(), server, sealed.nonce, sealed.box))
}

function open(secret: Uint8Array, theirs: NodePublic, nonce: Uint8Array, box: Uint8Array): Uint8Array {
  if (box.length < BOX_OVERHEAD_BYTES) throw new WireError('wire/short', 'The box is shorter than its own tag.')
  const message = new SharedBox(secret, theirs.bytes).open(box, nonce)
  if (!message) throw new WireError('wire/bad-value', 'The box does not open with the claimed key.')
  return message
}

function parseObject(json: Uint8Array): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    value = JSON.parse(fromUtf8(json))
  } catch (cause) {
    throw new WireError('wire/bad-value', 'The box does not hold JSON.', { cause })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new WireError('wire/bad-value', 'The box does not hold a JSON object.')
  return { ...value }
}

/** A finite number of zero or more, rounded down. */
function count(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? Math.floor(value) : undefined
}
