// Every disco message: one byte type, one byte version (0), then the body. What a message means is in its own file.

import { Reader, WireError, Writer, type Codec } from '../codec.ts'
import { allocateRequest, type AllocateRequest } from './allocate-request.ts'
import { allocateResponse, type AllocateResponse } from './allocate-response.ts'
import { bind, type Bind } from './bind.ts'
import { bindAnswer, type BindAnswer } from './bind-answer.ts'
import { bindChallenge, type BindChallenge } from './bind-challenge.ts'
import { callMeMaybe, type CallMeMaybe } from './call-me-maybe.ts'
import { callMeMaybeVia, type CallMeMaybeVia } from './call-me-maybe-via.ts'
import { ping, type Ping } from './ping.ts'
import { pong, type Pong } from './pong.ts'

interface Bodies {
  ping: Ping
  pong: Pong
  callMeMaybe: CallMeMaybe
  bind: Bind
  bindChallenge: BindChallenge
  bindAnswer: BindAnswer
  callMeMaybeVia: CallMeMaybeVia
  allocateRequest: AllocateRequest
  allocateResponse: AllocateResponse
}

export type DiscoKind = keyof Bodies
export type DiscoMessage = { [K in DiscoKind]: Bodies[K] & { readonly kind: K } }[DiscoKind]

const codecs: { readonly [K in DiscoKind]: Codec<Bodies[K]> } = {
  ping,
  pong,
  callMeMaybe,
  bind,
  bindChallenge,
  bindAnswer,
  callMeMaybeVia,
  allocateRequest,
  allocateResponse,
}

const HEADER_BYTES = 2
const VERSION = 0

/** Bodies that mean something else in another version; of the rest, the known part keeps its place. */
const ONLY_VERSION_0: ReadonlySet<DiscoKind> = new Set([
  'callMeMaybe',
  'callMeMaybeVia',
  'allocateRequest',
  'allocateResponse',
])

export function writeDiscoMessage(message: DiscoMessage): Uint8Array {
  // One entry of the table fits exactly its kind; the compiler cannot follow that through the union.
  const codec = codecs[message.kind] as Codec<DiscoMessage>
  const to = new Writer(HEADER_BYTES + codec.size(message))
  to.u8(codec.tag)
  to.u8(VERSION)
  codec.write(message, to)
  return to.finish()
}

const kindByTag: ReadonlyMap<number, DiscoKind> = new Map(
  (Object.keys(codecs) as DiscoKind[]).map((kind) => [codecs[kind].tag, kind]),
)

/** Throws WireError; 'wire/unknown' for a type or version that came after us. */
export function readDiscoMessage(bytes: Uint8Array): DiscoMessage {
  const from = new Reader(bytes)
  const tag = from.u8()
  const version = from.u8()
  const kind = kindByTag.get(tag)
  if (kind === undefined || (version !== VERSION && ONLY_VERSION_0.has(kind)))
    throw new WireError('wire/unknown', `Disco message ${tag}, version ${version}, is unknown.`)
  return { ...codecs[kind].read(from), kind } as DiscoMessage
}
