import type { TLSSocket } from 'node:tls'
import { derpPortOf, type DerpNode } from './derp-map.ts'
import { DerpError } from './errors.ts'
import { DERP_PATH } from './http-answers.ts'

const MAX_RESPONSE_BYTES = 16 * 1024
const END_OF_HEADERS = '\r\n\r\n'

/** The Host header of a node: IPv6 in brackets, the port unless it is the usual one. */
export function hostHeaderOf(node: DerpNode): string {
  const host = node.HostName.includes(':') ? `[${node.HostName}]` : node.HostName
  return derpPortOf(node) === 443 ? host : `${host}:${derpPortOf(node)}`
}

/**
 * Turns an HTTPS connection into a DERP one. Returns what the server sent after its answer: its first frames, most often.
 * `idealNode` names the region's first node when another one is dialled; servers count it.
 */
export async function upgradeToDerp(
  socket: TLSSocket,
  node: DerpNode,
  idealNode: string | undefined,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const ideal = idealNode !== undefined && /^[\w.-]{1,64}$/.test(idealNode) ? `Ideal-Node: ${idealNode}\r\n` : ''
  socket.write(
    `GET ${DERP_PATH} HTTP/1.1\r\nHost: ${hostHeaderOf(node)}\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n${ideal}\r\n`,
  )
  let response = Buffer.alloc(0)
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void): void => {
      socket.pause()
      socket.off('data', take)
      socket.off('error', fail)
      socket.off('close', closed)
      signal.removeEventListener('abort', abort)
      settle()
    }
    const fail = (cause: unknown): void =>
      finish(() => reject(new DerpError('derp/closed', `DERP node ${node.Name}: the connection broke.`, { cause })))
    const closed = (): void => fail(undefined)
    const abort = (): void => finish(() => reject(signal.reason as Error))
    const take = (chunk: Buffer): void => {
      response = Buffer.concat([response, chunk])
      const end = response.indexOf(END_OF_HEADERS)
      if (end < 0 && response.length <= MAX_RESPONSE_BYTES) return
      const [, status] = /^HTTP\/1\.[01] (\d{3})[ \r]/.exec(response.toString('latin1', 0, 16)) ?? []
      finish(() => {
        if (end >= 0 && status === '101') resolve(response.subarray(end + END_OF_HEADERS.length))
        else reject(new DerpError('derp/protocol', `DERP node ${node.Name} answers ${status ?? 'no HTTP'}, not 101.`))
      })
    }
    if (signal.aborted) {
      abort()
      return
    }
    signal.addEventListener('abort', abort, { once: true })
    socket.on('error', fail)
    socket.on('close', closed)
    socket.on('data', take)
  })
}
