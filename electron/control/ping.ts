// Questions the server asks this machine through the map stream (control.md §10.4).

import { utf8 } from '../base/bytes.ts'
import type { PingRequest } from '../wire/tailcfg/map-response.ts'

export type PingAnswer =
  /** HEAD this URL; over the encrypted channel or over plain HTTP(S). */
  | { readonly kind: 'head'; readonly url: URL; readonly overNoise: boolean }
  /** POST `body` to this URL over the encrypted channel. */
  | { readonly kind: 'post'; readonly url: URL; readonly body: Uint8Array }
  | { readonly kind: 'none' }

const NONE: PingAnswer = { kind: 'none' }

/** What to do about a ping. Only URLs of the server itself: a map must not make us knock at other machines' doors. */
export function answerTo(ping: PingRequest, server: URL): PingAnswer {
  const url = URL.canParse(ping.url, server) ? new URL(ping.url, server) : undefined
  if (!url || url.hostname !== server.hostname || (url.protocol !== 'http:' && url.protocol !== 'https:')) return NONE
  if (ping.types === '') return { kind: 'head', url, overNoise: ping.urlIsNoise }
  if (ping.types === 'c2n') return { kind: 'post', url, body: answerHttp(ping.payload) }
  return NONE
}

/** The HTTP/1.1 answer to a whole HTTP/1.x request. Only /echo is served: it gives the body back. */
export function answerHttp(payload: Uint8Array): Uint8Array {
  // One character per byte, so that a place in the text is a place in the payload.
  const text = Buffer.from(payload).toString('latin1')
  const end = text.indexOf('\r\n\r\n')
  const [, path] = /^[A-Z]+ (\S+) HTTP\/1\.[01]\r\n/.exec(text) ?? []
  if (end < 0 || path === undefined) return httpAnswer('400 Bad Request', utf8('bad request'))
  if (path.split('?')[0] !== '/echo') return httpAnswer('400 Bad Request', utf8('unknown c2n path'))
  return httpAnswer('200 OK', payload.subarray(end + 4))
}

function httpAnswer(status: string, body: Uint8Array): Uint8Array {
  const head = utf8(`HTTP/1.1 ${status}\r\nContent-Length: ${body.length}\r\n\r\n`)
  const answer = new Uint8Array(head.length + body.length)
  answer.set(head)
  answer.set(body, head.length)
  return answer
}
