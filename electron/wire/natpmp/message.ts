// NAT-PMP: a client asks its router for the external address and for ports, over UDP port 5351. Big endian.
//
//   external address request     0 version 0 · 1 opcode 0
//   external address response    0 version 0 · 1 opcode 0x80 · 2 result (2) · 4 epoch (4) · 8 IPv4 address (4)
//   map request                  0 version 0 · 1 opcode 1 (UDP) · 2 zero (2) · 4 internal port (2) · 6 wanted external port (2)
//                                8 lifetime s (4); lifetime 0 and external port 0 delete
//   map response                 0 version 0 · 1 opcode 0x81 · 2 result (2) · 4 epoch (4) · 8 internal port (2)
//                                10 external port (2) · 12 lifetime s (4)
//
// Reference: RFC 6886, section 3.

import { bytesToIp, type IpAddress } from '../../base/endpoint.ts'
import { Reader, WireError, Writer } from '../codec.ts'

/** PCP answers at the same port: the version tells them apart. */
export const NAT_PMP_PORT = 5351
export const NAT_PMP_VERSION = 0

const OPCODE = { externalAddress: 0, mapUdp: 1 } as const
const RESPONSE_BIT = 0x80
const MAP_REQUEST_BYTES = 12

export const NAT_PMP_RESULT = {
  success: 0,
  unsupportedVersion: 1,
  notAuthorized: 2,
  networkFailure: 3,
  outOfResources: 4,
  unsupportedOpcode: 5,
} as const

export interface NatPmpMapRequest {
  readonly internalPort: number
  /** 0 leaves the choice to the router. */
  readonly externalPort: number
  /** 0 deletes. */
  readonly lifetimeSeconds: number
}

interface ResponseHeader {
  readonly result: number
  /** Seconds since the router's tables were last empty. */
  readonly epochSeconds: number
}

export interface NatPmpExternalAddress extends ResponseHeader {
  readonly kind: 'external-address'
  /** "0.0.0.0" when the router has none, or refused. */
  readonly address: IpAddress
}

export interface NatPmpMapping extends ResponseHeader {
  readonly kind: 'map'
  readonly internalPort: number
  readonly externalPort: number
  readonly lifetimeSeconds: number
}

export type NatPmpResponse = NatPmpExternalAddress | NatPmpMapping

export function natPmpExternalAddressRequest(): Uint8Array {
  return Uint8Array.of(NAT_PMP_VERSION, OPCODE.externalAddress)
}

export function natPmpMapRequest(request: NatPmpMapRequest): Uint8Array {
  const to = new Writer(MAP_REQUEST_BYTES)
  to.u8(NAT_PMP_VERSION)
  to.u8(OPCODE.mapUdp)
  to.zeros(2)
  to.u16(request.internalPort)
  to.u16(request.externalPort)
  to.u32(request.lifetimeSeconds)
  return to.finish()
}

/** A refusal may end after the epoch; what it leaves out reads as zero. Throws WireError. */
export function readNatPmpResponse(bytes: Uint8Array): NatPmpResponse {
  const from = new Reader(bytes)
  const version = from.u8()
  if (version !== NAT_PMP_VERSION) throw new WireError('wire/bad-value', `NAT-PMP version ${version}.`)
  const opcode = from.u8()
  const [result, epochSeconds] = [from.u16(), from.u32()]
  const isRefusal = result !== NAT_PMP_RESULT.success
  switch (opcode) {
    case OPCODE.externalAddress | RESPONSE_BIT: {
      const address = isRefusal && from.left < 4 ? '0.0.0.0' : (bytesToIp(from.bytes(4)) ?? '0.0.0.0')
      return { kind: 'external-address', result, epochSeconds, address }
    }
    case OPCODE.mapUdp | RESPONSE_BIT: {
      if (isRefusal && from.left < 8)
        return { kind: 'map', result, epochSeconds, internalPort: 0, externalPort: 0, lifetimeSeconds: 0 }
      const [internalPort, externalPort, lifetimeSeconds] = [from.u16(), from.u16(), from.u32()]
      return { kind: 'map', result, epochSeconds, internalPort, externalPort, lifetimeSeconds }
    }
    default:
      throw new WireError('wire/unknown', `NAT-PMP opcode ${opcode}.`)
  }
}

/** The router's side, for tests and for a router of our own. */
export function natPmpResponse(response: NatPmpResponse): Uint8Array {
  const to = new Writer(response.kind === 'map' ? 16 : 12)
  to.u8(NAT_PMP_VERSION)
  to.u8(RESPONSE_BIT | (response.kind === 'map' ? OPCODE.mapUdp : OPCODE.externalAddress))
  to.u16(response.result)
  to.u32(response.epochSeconds)
  if (response.kind === 'map') {
    to.u16(response.internalPort)
    to.u16(response.externalPort)
    to.u32(response.lifetimeSeconds)
  } else {
    for (const part of response.address.split('.')) to.u8(Number(part))
  }
  return to.finish()
}

/** The router's side. Throws WireError. */
export function readNatPmpRequest(bytes: Uint8Array): 'external-address' | NatPmpMapRequest {
  const from = new Reader(bytes)
  if (from.u8() !== NAT_PMP_VERSION) throw new WireError('wire/bad-value', 'Not NAT-PMP.')
  const opcode = from.u8()
  if (opcode === OPCODE.externalAddress) return 'external-address'
  if (opcode !== OPCODE.mapUdp) throw new WireError('wire/unknown', `NAT-PMP opcode ${opcode}.`)
  from.skip(2)
  return { internalPort: from.u16(), externalPort: from.u16(), lifetimeSeconds: from.u32() }
}
