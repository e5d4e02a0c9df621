// One query to one server by HTTP (RFC 8484), without TLS: the server is a node, and its tunnel hides and proves it.

import { Agent, request } from 'node:http'
import { CodedError } from '../base/errors.ts'

export const DNS_MESSAGE = 'application/dns-message'
export const MOST_DNS_BYTES = 65_535

/** A connection that lay still longer may have been forgotten by the other end. */
const IDLE_MS = 15_000
const MOST_CONNECTIONS = 8

const connections = new Agent({ keepAlive: true, timeout: IDLE_MS, maxSockets: MOST_CONNECTIONS, maxFreeSockets: 2 })

export const isHttpServer = (server: string): boolean => server.startsWith('http://')

/** Rejects when the signal aborts, the server refuses, or what it says is no DNS message. */
export function askOverHttp(url: string, message: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': DNS_MESSAGE, accept: DNS_MESSAGE, 'content-length': message.length }
    const asked = request(url, { method: 'POST', headers, signal, agent: connections }, (response) => {
      const chunks: Uint8Array[] = []
      let bytes = 0
      response.on('data', (chunk: Uint8Array) => {
        chunks.push(chunk)
        bytes += chunk.length
        if (bytes > MOST_DNS_BYTES) asked.destroy(new CodedError('dns/too-long', `${url} says too much.`))
      })
      response.on('error', reject)
      response.on('end', () => {
        if (response.statusCode === 200 && response.headers['content-type'] === DNS_MESSAGE)
          resolve(Buffer.concat(chunks))
        else reject(new CodedError('dns/refused', `${url} answered ${response.statusCode}.`))
      })
    })
    asked.on('error', reject)
    asked.end(message)
  })
}
