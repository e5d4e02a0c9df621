import type { X509Certificate } from 'node:crypto'
import { lookup as dnsLookup } from 'node:dns'
import { connect as tcpConnect, isIP, type LookupFunction, type Socket } from 'node:net'
import { checkServerIdentity, connect as tlsConnect, type TLSSocket } from 'node:tls'
import { withDeadline } from '../base/deadline.ts'
import { ipToBytes, type IpAddress } from '../base/endpoint.ts'
import { isCoded, messageOf } from '../base/errors.ts'
import { type Proxy, proxyFor, ProxyError } from '../base/proxy-settings.ts'
import { connectThrough } from '../base/proxy-tunnel.ts'
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
 * A verified TLS connection to a DERP node, through a proxy where the environment names one. Throws 'derp/unreachable',
 * 'derp/wrong-certificate' or 'proxy/…', or what `signal` was aborted with. No ALPN is sent: some servers would answer it
 * with HTTP/2, which has no upgrade.
 */
export async function dialNode(node: DerpNode, signal: AbortSignal): Promise<TLSSocket> {
  const socket = await dialAnyway(node, signal)
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

async function dialAnyway(node: DerpNode, signal: AbortSignal): Promise<Socket> {
  try {
    const proxy = proxyOf(node)
    return await (proxy ? dialThrough(proxy, node, signal) : dialTcp(node, signal))
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error
    throw new DerpError(error.code, `DERP node ${node.Name}: ${error.message}`, { cause: error })
  }
}

/** An exception for the node's name or for any of its addresses counts: people write down either. */
function proxyOf(node: DerpNode): Proxy | undefined {
  const proxies = [node.HostName, ...literalsOf(node)].map((host) =>
    proxyFor({ scheme: 'https', host, port: derpPortOf(node) }),
  )
  return proxies.includes(undefined) ? undefined : proxies[0]
}

/** By name first, as filters know names; by address when the proxy's DNS does not know it. */
async function dialThrough(proxy: Proxy, node: DerpNode, signal: AbortSignal): Promise<Socket> {
  const to = (host: string) => ({ scheme: 'https' as const, host, port: derpPortOf(node) })
  try {
    return await connectThrough(proxy, to(node.HostName), signal)
  } catch (error) {
    const address = literalsOf(node).find((literal) => literal !== node.HostName)
    if (address === undefined || !isCoded(error, 'proxy/no-route')) throw error
    return connectThrough(proxy, to(address), signal)
  }
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

function literalsOf(node: DerpNode): IpAddress[] {
  return [node.IPv4, node.IPv6].filter((text): text is IpAddress => text !== undefined && ipToBytes(text) !== undefined)
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
