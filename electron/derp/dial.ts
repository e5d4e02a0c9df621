import type { X509Certificate } from 'node:crypto'
import { lookup as dnsLookup } from 'node:dns'
import { connect as tcpConnect, isIP, type LookupFunction, type Socket } from 'node:net'
import { checkServerIdentity, connect as tlsConnect, type TLSSocket } from 'node:tls'
import { withDeadline } from '../base/deadline.ts'
import { ipToBytes, type IpAddress } from '../base/endpoint.ts'
import { messageOf } from '../base/errors.ts'
import { derpPortOf, type DerpNode } from './derp-map.ts'
import { DerpError } from './errors.ts'
import { sha256RawOf } from './tls-identity.ts'

/** For name resolution and TCP of one node; another node of the region may be closer to working. */
const DIAL_MS = 1_500
/** How long one address may take before the next is tried beside it (RFC 8305). */
const NEXT_ADDRESS_MS = 250

const MAX_CHAIN = 10
const PIN_PREFIX = 'sha256-raw:'

/**
 * A verified TLS connection to a DERP node. Throws 'derp/unreachable' or 'derp/wrong-certificate', or what `signal` was
 * aborted with. No ALPN is sent: some servers would answer it with HTTP/2, which has no upgrade.
 */
export async function dialNode(node: DerpNode, signal: AbortSignal): Promise<TLSSocket> {
  const socket = await dialTcp(node, signal)
  const isName = isIP(node.HostName) === 0
  const pin = node.CertName?.startsWith(PIN_PREFIX) ? node.CertName : undefined
  const isVerifiedHere = pin !== undefined || node.InsecureForTests === true
  const nameToVerify = pin === undefined && node.CertName ? node.CertName : node.HostName
  const tls = tlsConnect({
    socket,
    ...(isName ? { servername: node.HostName } : {}),
    minVersion: 'TLSv1.2',
    rejectUnauthorized: !isVerifiedHere,
    checkServerIdentity: (_, certificate) => checkServerIdentity(nameToVerify, certificate),
  })
  tls.on('error', ignore)
  await new Promise<void>((resolve, reject) => {
    const abort = (): void => {
      tls.destroy()
      reject(signal.reason as Error)
    }
    signal.addEventListener('abort', abort, { once: true })
    const settle = (): void => signal.removeEventListener('abort', abort)
    tls.once('secureConnect', () => {
      settle()
      const problem = pin === undefined ? undefined : pinProblem(tls, pin, node.HostName)
      if (problem === undefined) resolve()
      else reject(new DerpError('derp/wrong-certificate', `DERP node ${node.Name}: ${problem}`))
    })
    tls.once('error', (cause: Error & { code?: string }) => {
      settle()
      const code = tls.authorizationError || /CERT|ALTNAME|VERIFY/.test(cause.code ?? '')
      reject(
        new DerpError(
          code ? 'derp/wrong-certificate' : 'derp/unreachable',
          `DERP node ${node.Name}: ${cause.message}`,
          {
            cause,
          },
        ),
      )
    })
    tls.once('close', () => reject(new DerpError('derp/unreachable', `DERP node ${node.Name} closed during TLS.`)))
  }).catch((error: unknown) => {
    tls.destroy()
    throw error
  })
  return tls
}

/** What is wrong with the certificate that the far side proved to own; undefined when it is the promised one. */
function pinProblem(tls: TLSSocket, pin: string, hostName: string): string | undefined {
  const certificate = tls.getPeerX509Certificate()
  if (!certificate) return 'no certificate was presented.'
  if (sha256RawOf(certificate) !== pin.toLowerCase()) return 'its certificate is not the one pinned in the DERP map.'
  if (certificatesBesides(certificate) > 0) return 'it presents a chain where the DERP map pins a single certificate.'
  const now = Date.now()
  if (now < Date.parse(certificate.validFrom) || now > Date.parse(certificate.validTo))
    return `its certificate is valid from ${certificate.validFrom} to ${certificate.validTo} only.`
  if (isIP(hostName) === 0 && certificate.checkHost(hostName, { subject: 'never' }) === undefined)
    return `its certificate is not for ${hostName}.`
  return undefined
}

/**
 * Certificates that were presented after the first one, without those that only announce a DERP key to clients that know of
 * them. Node calls the next one of the presented chain the issuer, whoever issued what.
 */
function certificatesBesides(first: X509Certificate): number {
  let count = 0
  let next = first.issuerCertificate
  for (let i = 0; next && i < MAX_CHAIN; i++, next = next.issuerCertificate)
    if (next.fingerprint256 !== first.fingerprint256 && !/^CN=derpkey[0-9a-f]{64}$/m.test(next.subject)) count++
  return count
}

async function dialTcp(node: DerpNode, signal: AbortSignal): Promise<Socket> {
  const socket = tcpConnect({
    host: 'derp.invalid', // never looked up: the addresses come from our own lookup
    port: derpPortOf(node),
    lookup: lookupOf(node),
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_MS,
    noDelay: true,
  })
  socket.on('error', ignore)
  const connected = new Promise<void>((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    const settle = (): void => signal.removeEventListener('abort', abort)
    socket.once('connect', () => {
      settle()
      resolve()
    })
    socket.once('error', (cause) => {
      settle()
      reject(new DerpError('derp/unreachable', `DERP node ${node.Name}: ${reasonOf(cause)}`, { cause }))
    })
  })
  try {
    await withDeadline(
      connected,
      DIAL_MS,
      () => new DerpError('derp/unreachable', `DERP node ${node.Name} does not answer at ${node.HostName}.`),
    )
  } catch (error) {
    socket.destroy()
    throw error
  }
  return socket
}

/** Keeps an error after the one we act on from ending the process. */
function ignore(): void {}

/** With several addresses tried, the error holds one error for each. */
function reasonOf(error: unknown): string {
  return error instanceof AggregateError ? error.errors.map((each) => messageOf(each)).join('; ') : messageOf(error)
}

/** Literal addresses of the map where it has any, else what DNS says of the host name, without families turned off. */
function lookupOf(node: DerpNode): LookupFunction {
  const literals = [node.IPv4, node.IPv6, node.HostName].slice(0, node.IPv4 || node.IPv6 ? 2 : 3)
  const addresses = literals.filter((text): text is IpAddress => text !== undefined && ipToBytes(text) !== undefined)
  const isOff = (family: number): boolean => Boolean(family === 4 ? node.IPv4 : node.IPv6)
  return (_, options, callback) => {
    const answer = (found: readonly { address: string; family: number }[]): void => {
      const [first] = found
      if (!first) callback(new Error(`${node.HostName} has no address that may be used`), '')
      else if (options.all) callback(null, [...found])
      else callback(null, first.address, first.family)
    }
    if (addresses.length > 0) {
      // Later, as a real lookup would: the socket is not ready for an answer within the call.
      process.nextTick(
        answer,
        addresses.map((address) => ({ address, family: isIP(address) })),
      )
      return
    }
    dnsLookup(node.HostName, { all: true, verbatim: true }, (error, found) => {
      if (error) callback(error, '')
      else answer(found.filter(({ family }) => !isOff(family)))
    })
  }
}
