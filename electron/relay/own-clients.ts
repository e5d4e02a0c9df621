// Two clients of our own at our own relay, over loopback: shows that its handshake and its forwarding work, whatever the
// network outside is like.

import { createSocket, type Socket } from 'node:dgram'
import { concat } from '../base/bytes.ts'
import { SharedBox } from '../crypto/box.ts'
import { DiscoPrivate, type DiscoPublic } from '../crypto/keys.ts'
import { openDisco, sealDisco } from '../wire/disco/envelope.ts'
import type { DiscoMessage } from '../wire/disco/message.ts'
import type { RelayEndpoint } from '../wire/disco/relay-endpoint.ts'
import { GENEVE_BYTES, geneveHeader, readGeneve } from '../wire/geneve/header.ts'

const PACKETS = 200
/** A full tunnel packet. */
const PACKET_BYTES = 1_300
const STEP_MS = 1_000
/** Sent in groups, which the receiver's ordinary buffer holds. */
const GROUP = 20
const GROUP_MS = 3

export interface ForwardingResult {
  readonly bound: boolean
  readonly sent: number
  readonly arrived: number
}

export class OwnClients {
  readonly #keys = [DiscoPrivate.generate(), DiscoPrivate.generate()] as const

  get pair(): readonly [DiscoPublic, DiscoPublic] {
    return [this.#keys[0].public, this.#keys[1].public]
  }

  /** Ends within about three seconds. */
  async check(relay: RelayEndpoint, port: number): Promise<ForwardingResult> {
    const sockets = [createSocket('udp4'), createSocket('udp4')] as const
    try {
      await Promise.all(sockets.map((socket) => connected(socket, port)))
      const bound = await Promise.all(sockets.map((socket, index) => this.#bind(socket, index === 0 ? 0 : 1, relay)))
      if (!bound.every(Boolean)) return { bound: false, sent: 0, arrived: 0 }
      return { bound: true, ...(await carry(sockets[0], sockets[1], relay.vni)) }
    } finally {
      for (const socket of sockets) socket.close()
    }
  }

  async #bind(socket: Socket, index: 0 | 1, { vni, serverDisco }: RelayEndpoint): Promise<boolean> {
    const own = this.#keys[index]
    const remoteKey = this.#keys[index === 0 ? 1 : 0].public
    const box = new SharedBox(own.secretBytes(), serverDisco.bytes)
    const header = geneveHeader({ control: true, protocol: 'disco', vni })
    const say = (message: DiscoMessage): void => socket.send(concat(header, sealDisco(own.public, box, message)))
    say({ kind: 'bind', vni, generation: 1, remoteKey, challenge: new Uint8Array(32) })
    const packet = await nextPacket(socket)
    if (!packet) return false
    const challenge = openDisco(packet.subarray(GENEVE_BYTES), box)
    if (challenge?.kind !== 'bindChallenge') return false
    say({ ...challenge, kind: 'bindAnswer' })
    // Nothing tells a client that it is bound; a moment later it is, or the packets that follow do not arrive.
    await new Promise((done) => setTimeout(done, 50))
    return true
  }
}

async function connected(socket: Socket, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    socket.connect(port, '127.0.0.1', resolve)
  })
  // What cannot be sent counts as lost.
  socket.on('error', () => {})
}

function nextPacket(socket: Socket): Promise<Uint8Array | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(undefined), STEP_MS)
    socket.once('message', (packet) => {
      clearTimeout(timer)
      resolve(packet)
    })
  })
}

function carry(from: Socket, to: Socket, vni: number): Promise<{ readonly sent: number; readonly arrived: number }> {
  const packet = concat(geneveHeader({ control: false, protocol: 'wireguard', vni }), new Uint8Array(PACKET_BYTES))
  return new Promise((resolve) => {
    let arrived = 0
    const timer = setTimeout(() => resolve({ sent: PACKETS, arrived }), STEP_MS)
    to.on('message', (bytes) => {
      if (bytes.length !== packet.length || readGeneve(bytes)?.vni !== vni) return
      arrived += 1
      if (arrived < PACKETS) return
      clearTimeout(timer)
      resolve({ sent: PACKETS, arrived })
    })
    const send = (left: number): void => {
      for (let count = 0; count < Math.min(GROUP, left); count++) from.send(packet)
      if (left > GROUP) setTimeout(() => send(left - GROUP), GROUP_MS)
    }
    send(PACKETS)
  })
}
