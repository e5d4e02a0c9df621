// The small frames around the packets.
//
//   KeepAlive      S→C     empty
//   NotePreferred  C→S     1 byte: 1 = this server is my home
//   PeerGone       S→C     32 key · 1 reason (old servers leave it out: 0)
//   PeerPresent    S→mesh  32 key · 16 IP · 2 port · 1 flags (older: only the key, or without flags)
//   WatchConns     mesh→S  empty
//   ClosePeer      mesh→S  32 key
//   Ping, Pong     both    8 bytes, echoed
//   Health         S→C     text; empty = healthy
//   Restarting     S→C     4 reconnect in, ms · 4 try for, ms
//
// Reference: tailscale derp/derp.go; protocol notes paths.md §3.2.

import { bytesToIp, ipTo16, type IpAddress } from '../../base/endpoint.ts'
import { fromUtf8, utf8 } from '../../base/bytes.ts'
import { NodePublic } from '../../crypto/keys.ts'
import { WireError, type Codec } from '../codec.ts'
import { FrameType, NODE_KEY_BYTES } from './frame.ts'

export const PING_BYTES = 8
/** Pings up to this length are answered; what follows the first 8 bytes is ignored. */
export const MAX_PING_BYTES = 1000
/** A longer health text is cut off by the decoder's limit. */
export const MAX_HEALTH_BYTES = 4096

/** A message without content. */
export type Empty = Readonly<Record<string, never>>

const empty = (tag: number): Codec<Empty> => ({ tag, size: () => 0, write: () => {}, read: () => ({}) })

export const keepAlive = empty(FrameType.keepAlive)
export const watchConns = empty(FrameType.watchConns)

export interface NotePreferred {
  readonly isHome: boolean
}

export const notePreferred: Codec<NotePreferred> = {
  tag: FrameType.notePreferred,
  size: () => 1,
  write(m, to) {
    to.u8(m.isHome ? 1 : 0)
  },
  read(from) {
    // The reference server closes the connection for any other length.
    if (from.left !== 1) throw new WireError('wire/bad-value', `NotePreferred of ${from.left} bytes.`)
    return { isHome: from.u8() === 1 }
  },
}

/** Why a peer cannot be reached here. Other values come from later versions and mean the same. */
export const PeerGoneReason = { disconnected: 0x00, notHere: 0x01 } as const

export interface PeerGone {
  readonly peer: NodePublic
  readonly reason: number
}

export const peerGone: Codec<PeerGone> = {
  tag: FrameType.peerGone,
  size: () => NODE_KEY_BYTES + 1,
  write(m, to) {
    to.bytes(m.peer.bytes)
    to.u8(m.reason)
  },
  read(from) {
    const peer = new NodePublic(from.bytes(NODE_KEY_BYTES))
    return { peer, reason: from.left > 0 ? from.u8() : PeerGoneReason.disconnected }
  },
}

export interface PeerPresent {
  readonly peer: NodePublic
  readonly address: IpAddress | undefined
  readonly port: number
  /** 1 regular, 2 mesh peer, 4 prober, 8 not its ideal node; 0 from older servers. */
  readonly flags: number
}

export const peerPresent: Codec<PeerPresent> = {
  tag: FrameType.peerPresent,
  size: () => NODE_KEY_BYTES + 16 + 2 + 1,
  write(m, to) {
    to.bytes(m.peer.bytes)
    to.bytes((m.address === undefined ? undefined : ipTo16(m.address)) ?? new Uint8Array(16))
    to.u16(m.port)
    to.u8(m.flags)
  },
  read(from) {
    const peer = new NodePublic(from.bytes(NODE_KEY_BYTES))
    if (from.left < 18) return { peer, address: undefined, port: 0, flags: 0 }
    const raw = from.bytes(16)
    const port = from.u16()
    const address = raw.every((byte) => byte === 0) ? undefined : bytesToIp(raw)
    return { peer, address, port, flags: from.left > 0 ? from.u8() : 0 }
  },
}

export interface ClosePeer {
  readonly peer: NodePublic
}

export const closePeer: Codec<ClosePeer> = {
  tag: FrameType.closePeer,
  size: () => NODE_KEY_BYTES,
  write(m, to) {
    to.bytes(m.peer.bytes)
  },
  read: (from) => ({ peer: new NodePublic(from.bytes(NODE_KEY_BYTES)) }),
}

export interface Ping {
  /** 8 bytes. */
  readonly data: Uint8Array
}

export type Pong = Ping

const echo = (tag: number): Codec<Ping> => ({
  tag,
  size: () => PING_BYTES,
  write(m, to) {
    if (m.data.length !== PING_BYTES) throw new RangeError(`a DERP ping carries ${PING_BYTES} bytes`)
    to.bytes(m.data)
  },
  read: (from) => ({ data: from.bytes(PING_BYTES) }),
})

export const ping = echo(FrameType.ping)
export const pong = echo(FrameType.pong)

export interface Health {
  /** For people; empty when the server has nothing to complain about. */
  readonly problem: string
}

export const health: Codec<Health> = {
  tag: FrameType.health,
  size: (m) => utf8(m.problem).length,
  write(m, to) {
    to.bytes(utf8(m.problem))
  },
  read: (from) => ({ problem: fromUtf8(from.rest()) }),
}

export interface Restarting {
  readonly reconnectInMs: number
  readonly tryForMs: number
}

export const restarting: Codec<Restarting> = {
  tag: FrameType.restarting,
  size: () => 8,
  write(m, to) {
    to.u32(m.reconnectInMs)
    to.u32(m.tryForMs)
  },
  read: (from) => ({ reconnectInMs: from.u32(), tryForMs: from.u32() }),
}
