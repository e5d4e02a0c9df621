// Where this machine's programs ask: the addresses of the built-in resolver, UDP and TCP.

import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { createServer, type Server, type Socket } from 'node:net'
import { CodedError, messageOf } from '../base/errors.ts'
import type { Resolver } from './resolver.ts'
import { framed } from './upstream.ts'

const PORT = 53
const MOST_CONNECTIONS = 64
const IDLE_MS = 10_000
const MOST_WAITING_BYTES = 4 * 65_537

export class DnsListener {
  readonly #resolver: Pick<Resolver, 'resolve'>
  readonly #udp: UdpSocket[] = []
  readonly #tcp: Server[] = []
  readonly #connections = new Set<Socket>()

  private constructor(resolver: Pick<Resolver, 'resolve'>) {
    this.#resolver = resolver
  }

  /** Throws 'dns/port-in-use' when somebody else answers there, 'dns/no-address' when the address is not ours yet. */
  static async open(
    resolver: Pick<Resolver, 'resolve'>,
    addresses: readonly string[],
    port = PORT,
  ): Promise<DnsListener> {
    const listener = new DnsListener(resolver)
    try {
      for (const address of addresses) {
        await listener.#openUdp(address, port)
        await listener.#openTcp(address, port)
      }
    } catch (error) {
      listener.close()
      const isTaken = messageOf(error).includes('EADDRINUSE')
      throw new CodedError(
        isTaken ? 'dns/port-in-use' : 'dns/no-address',
        isTaken
          ? 'Names of the network cannot be found: another program answers at port 53 of every address. Let it listen on addresses of its own only.'
          : `Names of the network cannot be found: ${messageOf(error)}`,
        { cause: error },
      )
    }
    return listener
  }

  close(): void {
    for (const socket of this.#udp.splice(0)) socket.close()
    for (const server of this.#tcp.splice(0)) server.close()
    for (const connection of this.#connections) connection.destroy()
  }

  async #openUdp(address: string, port: number): Promise<void> {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
    await new Promise<void>((resolve, reject) => {
      socket.once('error', (error) => {
        socket.close()
        reject(error)
      })
      socket.bind(port, address, () => resolve())
    })
    socket.removeAllListeners('error')
    socket.on('error', () => {})
    socket.on('message', (message, from) => {
      void this.#resolver.resolve(message, 'udp').then((answer) => {
        if (answer && this.#udp.includes(socket)) socket.send(answer, from.port, from.address)
      })
    })
    this.#udp.push(socket)
  }

  async #openTcp(address: string, port: number): Promise<void> {
    const server = createServer((connection) => this.#serve(connection))
    server.maxConnections = MOST_CONNECTIONS
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, address, resolve)
    })
    server.on('error', () => {})
    this.#tcp.push(server)
  }

  #serve(connection: Socket): void {
    this.#connections.add(connection)
    connection.setTimeout(IDLE_MS, () => connection.destroy())
    connection.on('error', () => {})
    connection.on('close', () => this.#connections.delete(connection))
    let waiting: Uint8Array = new Uint8Array(0)
    connection.on('data', (chunk: Uint8Array) => {
      waiting = Buffer.concat([waiting, chunk])
      if (waiting.length > MOST_WAITING_BYTES) return connection.destroy()
      for (;;) {
        if (waiting.length < 2) return
        const length = ((waiting[0] ?? 0) << 8) | (waiting[1] ?? 0)
        if (waiting.length < 2 + length) return
        const message = waiting.subarray(2, 2 + length)
        waiting = waiting.subarray(2 + length)
        void this.#resolver.resolve(message, 'tcp').then((answer) => {
          if (!answer) connection.destroy()
          else if (!connection.destroyed) connection.write(framed(answer))
        })
      }
    })
  }
}
