// PCP, the successor of NAT-PMP at the same UDP port 5351. Big endian; addresses in 16 bytes, IPv4 as ::ffff:a.b.c.d.
//
//   request header (24)     0 version 2 · 1 opcode · 2 zero (2) · 4 lifetime s (4) · 8 client address (16)
//   response header (24)    0 version 2 · 1 opcode | 0x80 · 2 zero · 3 result · 4 lifetime s (4) · 8 epoch s (4) · 12 zero (12)
//   ANNOUNCE (opcode 0)     the header alone: "are you there, and since when?"
//   MAP (opcode 1), 60      24 nonce (12) · 36 protocol 17 (UDP) · 37 zero (3) · 40 internal port (2) · 42 external port (2)
//                           44 external address (16); the response has the same body, with what was assigned
//
// The nonce belongs to the mapping: a router refuses to renew or delete with another (RFC 6887, section 11.3). In an error
// the lifetime says how long the refusal holds. Reference: RFC 6887, sections 7, 11 and 14.

import { bytesToIp, ipTo16, type IpAddress } from '../../base/endpoint.ts'
import { Reader, WireError, Writer } from '../codec.ts'

export const PCP_VERSION = 2
export const PCP_NONCE_BYTES = 12

const OPCODE = { announce: 0, map: 1 } as const
const RESPONSE_BIT = 0x80
const UDP = 17
const HEADER_BYTES = 24
const MAP_BYTES = 60

export const PCP_RESULT = {
  success: 0,
  unsupportedVersion: 1,
  notAuthorized: 2,
  malformedRequest: 3,
  unsupportedOpcode: 4,
  networkFailure: 7,
  noResources: 8,
  unsupportedProtocol: 9,
  userExceededQuota: 10,
  cannotProvideExternal: 11,
  addressMismatch: 12,
} as const

/** No wish for an external address, as MAP writes it for IPv4. */
export const ANY_IPV4: IpAddress = '0.0.0.0'

export interface PcpMapBody {
  readonly nonce: Uint8Array
  readonly internalPort: number
  /** In a request a wish, 0 for none. */
  readonly externalPort: number
  readonly externalAddress: IpAddress
}

export interface PcpMapRequest extends PcpMapBody {
  readonly clientAddress: IpAddress
  /** 0 deletes. */
  readonly lifetimeSeconds: number
}

interface ResponseHeader {
  readonly result: number
  readonly lifetimeSeconds: number
  /** Seconds since the router's tables were last empty. */
  readonly epochSeconds: number
}

export interface PcpAnnounced extends ResponseHeader {
  readonly kind: 'announce'
}

export interface PcpMapped extends ResponseHeader, PcpMapBody {
  readonly kind: 'map'
}

export type PcpResponse = PcpAnnounced | PcpMapped

export function pcpAnnounceRequest(clientAddress: IpAddress): Uint8Array {
  const to = new Writer(HEADER_BYTES)
  writeRequestHeader(to, OPCODE.announce, 0, clientAddress)
  return to.finish()
}

export function pcpMapRequest(request: PcpMapRequest): Uint8Array {
  const to = new Writer(MAP_BYTES)
  writeRequestHeader(to, OPCODE.map, request.lifetimeSeconds, request.clientAddress)
  writeMapBody(to, request)
  return to.finish()
}

/** Throws WireError. */
export function readPcpResponse(bytes: Uint8Array): PcpResponse {
  const from = new Reader(bytes)
  const version = from.u8()
  if (version !== PCP_VERSION) throw new WireError('wire/bad-value', `PCP version ${version}.`)
  const opcode = from.u8()
  from.skip(1)
  const header = { result: from.u8(), lifetimeSeconds: from.u32(), epochSeconds: from.u32() }
  from.skip(12)
  if (opcode === (OPCODE.announce | RESPONSE_BIT)) return { kind: 'announce', ...header }
  if (opcode === (OPCODE.map | RESPONSE_BIT)) return { kind: 'map', ...header, ...readMapBody(from) }
  throw new WireError('wire/unknown', `PCP opcode ${opcode}.`)
}

/** The router's side, for tests and for a router of our own. */
export function pcpResponse(response: PcpResponse): Uint8Array {
  const to = new Writer(response.kind === 'map' ? MAP_BYTES : HEADER_BYTES)
  to.u8(PCP_VERSION)
  to.u8(RESPONSE_BIT | (response.kind === 'map' ? OPCODE.map : OPCODE.announce))
  to.u8(0)
  to.u8(response.result)
  to.u32(response.lifetimeSeconds)
  to.u32(response.epochSeconds)
  to.zeros(12)
  if (response.kind === 'map') writeMapBody(to, response)
  return to.finish()
}

/** The router's side. Throws WireError. */
export function readPcpRequest(bytes: Uint8Array): 'announce' | PcpMapRequest {
  const from = new Reader(bytes)
  if (from.u8() !== PCP_VERSION) throw new WireError('wire/bad-value', 'Not PCP 2.')
  const opcode = from.u8()
  from.skip(2)
  const lifetimeSeconds = from.u32()
  const clientAddress = bytesToIp(from.bytes(16)) ?? ANY_IPV4
  if (opcode === OPCODE.announce) return 'announce'
  if (opcode !== OPCODE.map) throw new WireError('wire/unknown', `PCP opcode ${opcode}.`)
  return { clientAddress, lifetimeSeconds, ...readMapBody(from) }
}

function writeRequestHeader(to: Writer, opcode: number, lifetimeSeconds: number, clientAddress: IpAddress): void {
  to.u8(PCP_VERSION)
  to.u8(opcode)
  to.zeros(2)
  to.u32(lifetimeSeconds)
  writeAddress(to, clientAddress)
}

function writeMapBody(to: Writer, body: PcpMapBody): void {
  to.bytes(body.nonce.subarray(0, PCP_NONCE_BYTES))
  to.u8(UDP)
  to.zeros(3)
  to.u16(body.internalPort)
  to.u16(body.externalPort)
  writeAddress(to, body.externalAddress)
}

function readMapBody(from: Reader): PcpMapBody {
  const nonce = from.bytes(PCP_NONCE_BYTES)
  const protocol = from.u8()
  if (protocol !== UDP) throw new WireError('wire/bad-value', `A PCP mapping of protocol ${protocol}.`)
  from.skip(3)
  const [internalPort, externalPort] = [from.u16(), from.u16()]
  return { nonce, internalPort, externalPort, externalAddress: bytesToIp(from.bytes(16)) ?? ANY_IPV4 }
}

function writeAddress(to: Writer, address: IpAddress): void {
  const bytes = ipTo16(address)
  if (!bytes) throw new RangeError(`no IP address: ${address}`)
  to.bytes(bytes)
}
