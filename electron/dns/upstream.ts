// One query to one server, by UDP or TCP (RFC 1035 §4.2). Each has a socket of its own with a port of its own, so that an
// answer that was guessed has to guess that too.

import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import { CodedError } from '../base/errors.ts'
import { canonicalIp, splitEndpoint } from '../base/endpoint.ts'

const PORT = 53
const MOST_TCP_BYTES = 65_535

/** "192.0.2.1", "192.0.2.1:5353", "[2001:db8::1]:53"; undefined for others, such as addresses of the web. */
export function serverAddress(text: string): { readonly address: string; readonly port: number } | undefined {
  const bare = canonicalIp(text)
  return bare === undefined ? splitEndpoint(text) : { address: bare, port: PORT }
}

function placeOf(server: string): { readonly address: string; readonly port: number } {
  const place = serverAddress(server)
  if (!place) throw new CodedError('dns/bad-server', `"${server}" is no address of a name server.`)
  return place
}

/** Rejects when the signal aborts, or the system says that nobody is there. */
export function askOverUdp(server: string, message: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const { address, port } = placeOf(server)
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
    const end = (): void => {
      signal.removeEventListener('abort', onAbort)
      socket.close()
    }
    const onAbort = (): void => {
      end()
      reject(new CodedError('dns/no-answer', `${server} did not answer.`))
    }
    signal.addEventListener('abort', onAbort)
    socket.once('error', (error) => {
      end()
      reject(error)
    })
    socket.once('message', (answer) => {
      end()
      resolve(answer)
    })
    // Connected: datagrams of others do not come in, and a closed port is told as an error.
    socket.connect(port, address, () => {
      if (!signal.aborted) socket.send(message)
    })
  })
}

export function askOverTcp(server: string, message: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const { address, port } = placeOf(server)
    const socket = connect({ host: address, port, signal })
    const chunks: Uint8Array[] = []
    let [bytes, wanted] = [0, -1]
    socket.on('data', (chunk: Uint8Array) => {
      chunks.push(chunk)
      bytes += chunk.length
      const all = Buffer.concat(chunks)
      if (wanted < 0 && bytes >= 2) wanted = all.readUInt16BE(0)
      if (wanted >= 0 && bytes >= 2 + wanted) {
        resolve(all.subarray(2, 2 + wanted))
        socket.destroy()
      }
    })
    socket.on('error', reject)
    socket.on('close', () => reject(new CodedError('dns/no-answer', `${server} closed the connection.`)))
    socket.on('connect', () => socket.write(framed(message)))
  })
}

/** With its length before it. */
export function framed(message: Uint8Array): Uint8Array {
  if (message.length > MOST_TCP_BYTES) throw new CodedError('dns/too-long', 'A DNS message is too long.')
  const head = Buffer.alloc(2)
  head.writeUInt16BE(message.length)
  return Buffer.concat([head, message])
}
