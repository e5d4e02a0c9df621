import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { codeOf } from '../base/errors.ts'
import { announcingCertificate } from './certificate.ts'
import type { DerpServer } from './derp-server.ts'
import { DerpError } from './errors.ts'
import { answerOther } from './http-answers.ts'

export interface TlsKeyPair {
  /** PEM. */
  readonly key: string
  /** PEM: the certificate, then its chain. */
  readonly cert: string
}

export interface DerpListenerOptions {
  readonly server: DerpServer
  readonly identity: TlsKeyPair
  /** An IP address; all of both families by default. */
  readonly address?: string
  /** 0 lets the system pick one. */
  readonly port: number
}

export interface DerpListener {
  readonly port: number
  readonly address: string
  /** For connections from now on. */
  setIdentity(identity: TlsKeyPair): void
  /** Ends all connections and frees the port. */
  close(): Promise<void>
}

const HANDSHAKE_MS = 10_000
const REQUEST_MS = 30_000
/** TCP connections at most, above what the DERP server itself allows: probes are short. */
const MAX_TCP_CONNECTIONS = 11_000

/** Serves DERP on a TLS port of its own. Throws 'derp/port-in-use' or 'derp/cannot-listen'. */
export async function listenDerp(options: DerpListenerOptions): Promise<DerpListener> {
  const { server, identity } = options
  const announcement = announcingCertificate(server.publicKey)
  const contextOf = ({ key, cert }: TlsKeyPair): { key: string; cert: string; minVersion: 'TLSv1.2' } => ({
    key,
    cert: `${cert.trim()}\n${announcement}`,
    minVersion: 'TLSv1.2',
  })
  const https = createServer({
    ...contextOf(identity),
    handshakeTimeout: HANDSHAKE_MS,
    headersTimeout: HANDSHAKE_MS,
    requestTimeout: REQUEST_MS,
    keepAliveTimeout: 5_000,
    maxHeaderSize: 16 * 1024,
  })
  https.maxConnections = MAX_TCP_CONNECTIONS
  https.on('request', (request, response) => {
    if (!server.handleRequest(request, response)) answerOther(request, response)
  })
  https.on('upgrade', (request, stream, head) => server.handleUpgrade(request, stream, head))
  https.on('tlsClientError', (_, socket) => socket.destroy())
  if (options.address === undefined) {
    await listen(https, '::', options.port).catch((error: unknown) => {
      // A system without IPv6.
      if (!(error instanceof DerpError) || error.code === 'derp/port-in-use') throw error
      return listen(https, '0.0.0.0', options.port)
    })
  } else {
    await listen(https, options.address, options.port)
  }
  const bound = https.address() as AddressInfo
  return {
    port: bound.port,
    address: bound.address,
    setIdentity: (next) => https.setSecureContext(contextOf(next)),
    close: async () => {
      const closed = new Promise<void>((resolve) => https.close(() => resolve()))
      await server.close()
      https.closeAllConnections()
      await closed
    },
  }
}

function listen(https: Server, address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (cause: Error): void =>
      reject(
        codeOf(cause) === 'EADDRINUSE'
          ? new DerpError('derp/port-in-use', `TCP port ${port} for DERP is taken by another program.`, { cause })
          : new DerpError('derp/cannot-listen', `Cannot listen on ${address} port ${port}: ${cause.message}`, {
              cause,
            }),
      )
    https.once('error', fail)
    https.listen(port, address, () => {
      https.off('error', fail)
      https.on('error', () => {}) // of accepting one connection: the next may work
      resolve()
    })
  })
}
