// The certificate of a DERP server that has no name of its own in the world: self-signed, kept in a folder, and promised to
// clients by its hash in the DERP map (`CertName: "sha256-raw:…"`), so that no authority is needed.

import { createPrivateKey, generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { readTextIfThere, writeFileAtomic } from '../base/atomic-file.ts'
import { systemClock, type Clock } from '../base/clock.ts'
import { canonicalIp } from '../base/endpoint.ts'
import { messageOf } from '../base/errors.ts'
import { silentLogger, type Logger } from '../base/log.ts'
import { selfSignedCertificate } from './certificate.ts'
import { DerpError } from './errors.ts'

export interface TlsIdentity {
  /** PEM. */
  readonly key: string
  /** PEM. */
  readonly cert: string
  /** The DERP map's CertName for it: `sha256-raw:<hex>`. */
  readonly sha256Raw: string
  readonly notAfter: Date
}

export interface TlsIdentityOptions {
  readonly folder: string
  /** Names and IP addresses that clients reach the server by: the HostName of its DERP node must be among them. */
  readonly hosts: readonly string[]
  readonly clock?: Clock
  readonly log?: Logger
}

const FILE = 'derp-tls.pem'
const DAY_MS = 24 * 60 * 60 * 1000
/** Nobody renews by hand, and the hash in the map is what is trusted. Stock clients do check the dates. */
const VALID_MS = 10 * 365 * DAY_MS
/** Clients whose clock is behind take it too. */
const BACKDATED_MS = 2 * DAY_MS
/** A server that starts within this of the end makes a new one. */
const RENEW_BEFORE_MS = 365 * DAY_MS

/** X.520's bound. */
const MAX_COMMON_NAME = 64

/**
 * The identity in `folder`; made when there is none, when it ends soon, or when it lacks one of `hosts`. A damaged file is
 * set aside, never overwritten. A new identity means a new pin: publish it in the DERP map.
 */
export async function loadTlsIdentity(options: TlsIdentityOptions): Promise<TlsIdentity> {
  const { folder, hosts } = options
  const clock = options.clock ?? systemClock
  const log = options.log ?? silentLogger
  const path = join(folder, FILE)
  const text = await readTextIfThere(path)
  if (text !== undefined) {
    try {
      const kept = parse(text)
      if (serves(kept, hosts, clock.wallNow())) return kept
      log.info('making a new DERP certificate', { because: 'the old one ends soon or lacks a name' })
    } catch (cause) {
      const aside = `${path}.damaged-${clock.wallNow()}`
      log.warn('the DERP certificate is damaged; it is set aside and a new one is made', { aside, cause })
      await rename(path, aside).catch((error: unknown) => {
        throw new DerpError('derp/bad-identity', `The DERP certificate ${path} is damaged: ${messageOf(error)}`, {
          cause,
        })
      })
    }
  }
  const made = makeTlsIdentity(hosts, clock.wallNow())
  await writeFileAtomic(path, `${made.key.trim()}\n${made.cert.trim()}\n`)
  return made
}

/** A fresh identity that is kept nowhere. */
export function makeTlsIdentity(hosts: readonly string[], wallNowMs = Date.now()): TlsIdentity {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const certificate = selfSignedCertificate({
    privateKey,
    commonName: (hosts[0] ?? 'derp').slice(0, MAX_COMMON_NAME),
    serial: randomBytes(16),
    notBefore: new Date(wallNowMs - BACKDATED_MS),
    notAfter: new Date(wallNowMs + VALID_MS),
    hosts: [...new Set(hosts)],
  })
  return parse(`${privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()}${certificate}`)
}

/** The pin of a certificate, as DERP maps write it. */
export function sha256RawOf(certificate: X509Certificate): string {
  return `sha256-raw:${certificate.fingerprint256.replaceAll(':', '').toLowerCase()}`
}

function parse(text: string): TlsIdentity {
  const [key] = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/.exec(text) ?? []
  const [cert] = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(text) ?? []
  if (key === undefined || cert === undefined) throw new Error('key or certificate is missing')
  const certificate = new X509Certificate(cert)
  if (!certificate.checkPrivateKey(createPrivateKey(key))) throw new Error('key and certificate do not belong together')
  return {
    key: `${key}\n`,
    cert: `${cert}\n`,
    sha256Raw: sha256RawOf(certificate),
    notAfter: new Date(certificate.validTo),
  }
}

function serves(identity: TlsIdentity, hosts: readonly string[], wallNowMs: number): boolean {
  const certificate = new X509Certificate(identity.cert)
  return (
    wallNowMs > Date.parse(certificate.validFrom) &&
    wallNowMs < identity.notAfter.getTime() - RENEW_BEFORE_MS &&
    hosts.every((host) =>
      canonicalIp(host) === undefined
        ? certificate.checkHost(host, { subject: 'never' }) !== undefined
        : certificate.checkIP(host) !== undefined,
    )
  )
}
