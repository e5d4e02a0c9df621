import type { RequestOptions } from 'node:https'
import { isIP, type Socket } from 'node:net'
import { connect as tlsConnect, type TLSSocket } from 'node:tls'
import { abortReason } from '../base/deadline.ts'
import { proxyFor, type ProxyTarget } from '../base/proxy-settings.ts'
import { connectThrough } from '../base/proxy-tunnel.ts'

/**
 * What a request to `target` needs of its connection: one of its own, made by Node, or one that goes through the proxy that
 * the environment names. `isVerified` is about the server's certificate. Throws ProxyError, the errors of TLS, or the
 * signal's reason.
 */
export async function wayOut(target: ProxyTarget, isVerified: boolean, signal: AbortSignal): Promise<RequestOptions> {
  const { scheme, host } = target
  const servername = isIP(host) === 0 ? host : undefined
  const tls = { rejectUnauthorized: isVerified, ...(servername !== undefined && { servername }) }
  const proxy = proxyFor(target)
  if (!proxy) return { agent: false, ...(scheme === 'https' && tls) }
  const socket = await connectThrough(proxy, target, signal)
  const connection = scheme === 'https' ? await secured(tlsConnect({ ...tls, socket, host }), signal) : socket
  connection.on('error', () => {}) // one that comes before the request listens
  return { createConnection: () => connection }
}

/** Made sure of here: a request that is handed a connection believes that it stands. */
function secured(tls: TLSSocket, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      signal.removeEventListener('abort', abort)
      tls.destroy()
      reject(error)
    }
    const abort = (): void => fail(abortReason(signal))
    tls.on('error', fail)
    tls.once('close', () => fail(new Error('The connection ended during TLS.')))
    tls.once('secureConnect', () => {
      signal.removeEventListener('abort', abort)
      resolve(tls)
    })
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
  })
}
