// A self-signed X.509 certificate (RFC 5280 §4.1), written directly: the platform can read certificates but not make them.
//
//   Certificate ::= SEQUENCE { tbs, signatureAlgorithm, signature }
//   tbs         ::= SEQUENCE { [0] version 3, serial, algorithm, issuer, validity, subject, public key, [3] extensions }

import { createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { concat, toHex, utf8 } from '../base/bytes.ts'
import { ipToBytes } from '../base/endpoint.ts'
import type { NodePublic } from '../crypto/keys.ts'
import { DERP_PROTOCOL_VERSION } from '../wire/derp/frame.ts'

export interface CertificateRequest {
  /** ECDSA P-256 or Ed25519. */
  readonly privateKey: KeyObject
  readonly commonName: string
  /** Big-endian, positive. */
  readonly serial: Uint8Array
  readonly notBefore: Date
  readonly notAfter: Date
  /** DNS names and IP addresses; none leaves the extension out. */
  readonly hosts: readonly string[]
}

const SEQUENCE = 0x30
const SET = 0x31
const INTEGER = 0x02
const BIT_STRING = 0x03
const OCTET_STRING = 0x04
const UTF8_STRING = 0x0c
const UTC_TIME = 0x17
const GENERALIZED_TIME = 0x18
const DNS_NAME = 0x82
const IP_ADDRESS = 0x87

/** Object identifiers, encoded. */
const OID = {
  ecdsaWithSha256: [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
  ed25519: [0x2b, 0x65, 0x70],
  commonName: [0x55, 0x04, 0x03],
  subjectAltName: [0x55, 0x1d, 0x11],
  basicConstraints: [0x55, 0x1d, 0x13],
  keyUsage: [0x55, 0x1d, 0x0f],
  extendedKeyUsage: [0x55, 0x1d, 0x25],
  serverAuth: [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01],
} as const

const TRUE = Uint8Array.of(0x01, 0x01, 0xff)
/** "digitalSignature" alone. */
const DIGITAL_SIGNATURE = Uint8Array.of(0x03, 0x02, 0x07, 0x80)

/** PEM. */
export function selfSignedCertificate(request: CertificateRequest): string {
  const isEd25519 = request.privateKey.asymmetricKeyType === 'ed25519'
  const algorithm = der(SEQUENCE, oid(isEd25519 ? OID.ed25519 : OID.ecdsaWithSha256))
  const name = der(SEQUENCE, der(SET, der(SEQUENCE, oid(OID.commonName), der(UTF8_STRING, utf8(request.commonName)))))
  const tbs = der(
    SEQUENCE,
    der(0xa0, integer(Uint8Array.of(2))),
    integer(request.serial),
    algorithm,
    name,
    der(SEQUENCE, time(request.notBefore), time(request.notAfter)),
    name,
    createPublicKey(request.privateKey).export({ format: 'der', type: 'spki' }),
    der(0xa3, der(SEQUENCE, ...extensions(request.hosts))),
  )
  // Both algorithms give the signature in the form that certificates hold.
  const signature = sign(isEd25519 ? undefined : 'sha256', tbs, request.privateKey)
  return pem(der(SEQUENCE, tbs, algorithm, der(BIT_STRING, Uint8Array.of(0), signature)))
}

/** Nobody checks the dates; the reference takes 30 days, but makes a new one only when it starts, as we do. */
const ANNOUNCED_MS = 10 * 365 * 24 * 60 * 60 * 1000

/**
 * The certificate that a DERP server appends to its chain to announce its key, so that clients can log in without waiting
 * for it (paths.md §3.1, "meta certificate"). It vouches for nothing, and validators pass over it.
 */
export function announcingCertificate(serverKey: NodePublic, wallNowMs = Date.now()): string {
  return selfSignedCertificate({
    privateKey: generateKeyPairSync('ed25519').privateKey,
    commonName: `derpkey${toHex(serverKey.bytes)}`,
    serial: Uint8Array.of(DERP_PROTOCOL_VERSION),
    notBefore: new Date(wallNowMs - ANNOUNCED_MS),
    notAfter: new Date(wallNowMs + ANNOUNCED_MS),
    hosts: [],
  })
}

function extensions(hosts: readonly string[]): Uint8Array[] {
  const critical = (id: readonly number[], value: Uint8Array): Uint8Array =>
    der(SEQUENCE, oid(id), TRUE, der(OCTET_STRING, value))
  const plain = (id: readonly number[], value: Uint8Array): Uint8Array =>
    der(SEQUENCE, oid(id), der(OCTET_STRING, value))
  const names = hosts.map((host) => {
    const ip = ipToBytes(host)
    return ip ? der(IP_ADDRESS, ip) : der(DNS_NAME, utf8(host))
  })
  return [
    critical(OID.basicConstraints, der(SEQUENCE)),
    critical(OID.keyUsage, DIGITAL_SIGNATURE),
    plain(OID.extendedKeyUsage, der(SEQUENCE, oid(OID.serverAuth))),
    ...(names.length > 0 ? [plain(OID.subjectAltName, der(SEQUENCE, ...names))] : []),
  ]
}

function der(tag: number, ...content: readonly Uint8Array[]): Uint8Array {
  const body = concat(...content)
  const { length } = body
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, (length >> 8) & 0xff, length & 0xff]
  return concat(Uint8Array.of(tag, ...size), body)
}

const oid = (id: readonly number[]): Uint8Array => der(0x06, Uint8Array.from(id))

function integer(bigEndian: Uint8Array): Uint8Array {
  const from = bigEndian.findIndex((byte) => byte !== 0)
  const digits = from < 0 ? Uint8Array.of(0) : bigEndian.subarray(from)
  return der(INTEGER, (digits[0] ?? 0) & 0x80 ? concat(Uint8Array.of(0), digits) : digits)
}

/** Two-digit years until 2049, four digits from then on (RFC 5280 §4.1.2.5). */
function time(at: Date): Uint8Array {
  const text = `${at.toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`
  return at.getUTCFullYear() < 2050 ? der(UTC_TIME, utf8(text.slice(2))) : der(GENERALIZED_TIME, utf8(text))
}

function pem(bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}
