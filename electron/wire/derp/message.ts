// The one table of DERP frames: a kind without a codec does not compile.

import { Reader, WireError, Writer, type Codec } from '../codec.ts'
import { FRAME_HEADER_BYTES, writeFrameHeader } from './frame.ts'
import * as handshake from './handshake.ts'
import * as notices from './notices.ts'
import * as packets from './packets.ts'

export interface DerpBodies {
  serverKey: handshake.ServerKey
  clientInfo: handshake.SealedClientInfo
  serverInfo: handshake.SealedServerInfo
  sendPacket: packets.SendPacket
  recvPacket: packets.RecvPacket
  forwardPacket: packets.ForwardPacket
  keepAlive: notices.Empty
  notePreferred: notices.NotePreferred
  peerGone: notices.PeerGone
  peerPresent: notices.PeerPresent
  watchConns: notices.Empty
  closePeer: notices.ClosePeer
  ping: notices.Ping
  pong: notices.Pong
  health: notices.Health
  restarting: notices.Restarting
}

export type DerpKind = keyof DerpBodies
export type DerpMessage = { [K in DerpKind]: { readonly kind: K; readonly body: DerpBodies[K] } }[DerpKind]

const codecs: { readonly [K in DerpKind]: Codec<DerpBodies[K]> } = {
  serverKey: handshake.serverKey,
  clientInfo: handshake.clientInfo,
  serverInfo: handshake.serverInfo,
  sendPacket: packets.sendPacket,
  recvPacket: packets.recvPacket,
  forwardPacket: packets.forwardPacket,
  keepAlive: notices.keepAlive,
  notePreferred: notices.notePreferred,
  peerGone: notices.peerGone,
  peerPresent: notices.peerPresent,
  watchConns: notices.watchConns,
  closePeer: notices.closePeer,
  ping: notices.ping,
  pong: notices.pong,
  health: notices.health,
  restarting: notices.restarting,
}

const decoders: ReadonlyMap<number, (from: Reader) => DerpMessage> = new Map(
  (Object.keys(codecs) as DerpKind[]).map((kind) => [codecs[kind].tag, decoderOf(kind)]),
)

function decoderOf(kind: DerpKind): (from: Reader) => DerpMessage {
  // The compiler cannot follow that kind and body belong together in a mapped union; the table above says so.
  return (from) => ({ kind, body: codecs[kind].read(from) }) as DerpMessage
}

/** A whole frame, header included. */
export function encodeFrame<K extends DerpKind>(kind: K, body: DerpBodies[K]): Uint8Array {
  const codec: Codec<DerpBodies[K]> = codecs[kind]
  const payloadBytes = codec.size(body)
  const header = new Uint8Array(FRAME_HEADER_BYTES)
  writeFrameHeader(header, 0, codec.tag, payloadBytes)
  const to = new Writer(FRAME_HEADER_BYTES + payloadBytes)
  to.bytes(header)
  codec.write(body, to)
  return to.finish()
}

/** The message in a frame's payload. Throws WireError; 'wire/unknown' for types of other versions, to be skipped. */
export function decodeFrame(type: number, payload: Uint8Array): DerpMessage {
  const decode = decoders.get(type)
  if (!decode) throw new WireError('wire/unknown', `DERP frame type ${type}.`)
  return decode(new Reader(payload))
}
