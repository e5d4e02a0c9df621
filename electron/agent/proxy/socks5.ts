// The server's side of SOCKS5 (RFC 1928): no authentication, CONNECT alone. Pure: bytes in, what to do out.
//
//   greeting   05 | count | methods…                         answer   05 | 00, or 05 | ff
//   request    05 | 01 | 00 | kind | address | port (2 BE)   answer   05 | code | 00 | 01 | 0.0.0.0 | 0

import { bytesToIp } from '../../base/endpoint.ts'

export const SOCKS_REPLY = {
  done: 0,
  failed: 1,
  forbidden: 2,
  unreachable: 4,
  refused: 5,
  noCommand: 7,
  noKind: 8,
} as const

const VERSION = 5
const CONNECT = 1
const KINDS = { v4: 1, name: 3, v6: 4 } as const

export type Step<T> =
  | { readonly kind: 'more' }
  | { readonly kind: 'bad'; readonly reply: Uint8Array | undefined }
  | { readonly kind: 'done'; readonly value: T; readonly bytes: number }

export const METHOD_NONE = Uint8Array.of(VERSION, 0)
const NO_METHOD = Uint8Array.of(VERSION, 0xff)

export const socksReply = (code: number): Uint8Array => Uint8Array.of(VERSION, code, 0, KINDS.v4, 0, 0, 0, 0, 0, 0)

export function readGreeting(input: Uint8Array): Step<undefined> {
  const [version, count] = input
  if (version !== undefined && version !== VERSION) return { kind: 'bad', reply: undefined }
  if (count === undefined || input.length < 2 + count) return { kind: 'more' }
  if (!input.subarray(2, 2 + count).includes(0)) return { kind: 'bad', reply: NO_METHOD }
  return { kind: 'done', value: undefined, bytes: 2 + count }
}

export function readRequest(input: Uint8Array): Step<{ readonly host: string; readonly port: number }> {
  const [version, command, , kind, first] = input
  if (version !== undefined && version !== VERSION) return { kind: 'bad', reply: undefined }
  if (first === undefined) return { kind: 'more' }
  if (command !== CONNECT) return { kind: 'bad', reply: socksReply(SOCKS_REPLY.noCommand) }
  const at = kind === KINDS.name ? 5 : 4
  const length = kind === KINDS.v4 ? 4 : kind === KINDS.v6 ? 16 : kind === KINDS.name ? first : 0
  if (length === 0) return { kind: 'bad', reply: socksReply(SOCKS_REPLY.noKind) }
  if (input.length < at + length + 2) return { kind: 'more' }
  const address = input.slice(at, at + length)
  const host = kind === KINDS.name ? Buffer.from(address).toString('latin1') : bytesToIp(address)
  if (host === undefined) return { kind: 'bad', reply: socksReply(SOCKS_REPLY.noKind) }
  const port = ((input[at + length] ?? 0) << 8) | (input[at + length + 1] ?? 0)
  return { kind: 'done', value: { host, port }, bytes: at + length + 2 }
}
