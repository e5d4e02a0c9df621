import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { canonicalIp, ipToBytes, joinEndpoint } from '../base/endpoint.ts'
import { codeOf, messageOf } from '../base/errors.ts'
import { systemClock, type Clock } from '../base/clock.ts'
import { readStunRequest } from '../wire/stun/request.ts'
import { stunResponse } from '../wire/stun/response.ts'
import { DerpError } from './errors.ts'
import { TokenBucket } from './token-bucket.ts'

export interface StunServerOptions {
  /** An IP address; without one, all of both families (IPv4 alone where the system has no IPv6). */
  readonly address?: string
  /** 0 lets the system pick one, the same for both families where it can be had. */
  readonly port: number
  readonly clock?: Clock
}

export interface StunServer {
  readonly port: number
  counters(): StunCounters
  close(): Promise<void>
}

export interface StunCounters {
  readonly answered: number
  /** No requests of clients of this kind. */
  readonly ignored: number
  /** From networks that asked too often. */
  readonly limited: number
}

/** Per IPv4 /24 or IPv6 /64: many nodes behind one address are fine, an amplifier of forged requests is not. */
const ANSWERS_PER_SECOND = 50
const ANSWERS_BURST = 200
/** Networks remembered; the one that came first is forgotten, and starts with a full burst again. */
const MAX_NETWORKS = 4096
/** Longer datagrams are no requests (40 bytes as sent). */
const MAX_REQUEST_BYTES = 512

/** Tells whoever asks from which ip:port the question came. Throws 'derp/port-in-use' or 'derp/cannot-listen'. */
export async function startStunServer(options: StunServerOptions): Promise<StunServer> {
  const clock = options.clock ?? systemClock
  const counters = { answered: 0, ignored: 0, limited: 0 }
  const networks = new Map<string, TokenBucket>()

  const mayAnswer = (network: string): boolean => {
    let bucket = networks.get(network)
    if (!bucket) {
      bucket = new TokenBucket(ANSWERS_PER_SECOND, ANSWERS_BURST, clock.now())
      networks.set(network, bucket)
      if (networks.size > MAX_NETWORKS)
        for (const oldest of networks.keys()) {
          networks.delete(oldest)
          break
        }
    }
    return bucket.tryTake(1, clock.now())
  }

  const answer = (socket: Socket, bytes: Uint8Array, from: RemoteInfo): void => {
    const address = canonicalIp(from.address.split('%', 1)[0] ?? '')
    const raw = address === undefined ? undefined : ipToBytes(address)
    if (address === undefined || !raw || bytes.length > MAX_REQUEST_BYTES || from.port === 0) {
      counters.ignored++
      return
    }
    let txId: Uint8Array
    try {
      ;({ txId } = readStunRequest(bytes))
    } catch {
      counters.ignored++
      return
    }
    const network = Buffer.from(raw.subarray(0, raw.length === 4 ? 3 : 8)).toString('latin1')
    if (!mayAnswer(network)) {
      counters.limited++
      return
    }
    counters.answered++
    socket.send(stunResponse({ txId, endpoint: joinEndpoint(address, from.port) }), from.port, from.address, () => {})
  }

  const sockets: Socket[] = []
  const open = async (type: 'udp4' | 'udp6', address: string, port: number): Promise<number> => {
    const socket = createSocket({ type, ipv6Only: type === 'udp6' })
    sockets.push(socket)
    await bind(socket, address, port)
    socket.on('message', (bytes, from) => answer(socket, bytes, from))
    socket.on('error', () => {}) // of one datagram: the next may work
    return socket.address().port
  }
  const close = async (): Promise<void> => {
    await Promise.all(sockets.splice(0).map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))))
  }

  try {
    const { address } = options
    let port: number
    if (address === undefined) {
      port = await open('udp4', '0.0.0.0', options.port)
      await open('udp6', '::', port).catch((error: unknown) => {
        // A system without IPv6 still serves; a taken port is a mistake to be told of.
        if (error instanceof DerpError && error.code === 'derp/port-in-use') throw error
        void sockets.pop()
      })
    } else {
      port = await open(address.includes(':') ? 'udp6' : 'udp4', address, options.port)
    }
    return { port, counters: () => ({ ...counters }), close }
  } catch (error) {
    await close().catch(() => {})
    throw error
  }
}

function bind(socket: Socket, address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', (cause) => {
      reject(
        codeOf(cause) === 'EADDRINUSE'
          ? new DerpError('derp/port-in-use', `UDP port ${port} for STUN is taken by another program.`, { cause })
          : new DerpError('derp/cannot-listen', `Cannot use UDP ${address} port ${port}: ${messageOf(cause)}`, {
              cause,
            }),
      )
    })
    socket.bind({ address, port }, () => {
      socket.removeAllListeners('error')
      resolve()
    })
  })
}
