// DNS messages as far as a resolver for a few names needs them: the question of a query, and answers made here. What others
// answer travels as bytes. Reference: RFC 1035 §4, RFC 6891 (EDNS).

import { bytesToIp, canonicalIp, ipToBytes, type IpAddress } from '../../base/endpoint.ts'
import { Reader, WireError, Writer } from '../codec.ts'

export const TYPE = { a: 1, ns: 2, soa: 6, ptr: 12, aaaa: 28, any: 255 } as const
export const RCODE = { ok: 0, malformed: 1, failed: 2, noSuchName: 3, notImplemented: 4, refused: 5 } as const

const CLASS_IN = 1
const HEADER_BYTES = 12
const MOST_NAME_BYTES = 255
const MOST_LABEL_BYTES = 63
/** Of an answer made here: a name may have been given another address a moment ago. */
const TTL_S = 60

const QR = 0x8000
const OPCODE = 0x7800
const AA = 0x0400
const TC = 0x0200
const RD = 0x0100
const RA = 0x0080

export interface Query {
  readonly id: number
  /** Lower case, without a dot at the end; "" for the root. */
  readonly name: string
  readonly type: number
  readonly isInternet: boolean
  readonly wantsRecursion: boolean
  /** The question as it came, which answers repeat: some clients compare the case of letters. */
  readonly question: Uint8Array
}

export type Answer =
  | { readonly type: 'address'; readonly address: IpAddress }
  | { readonly type: 'name'; readonly name: string }

/** Throws WireError 'wire/short', 'wire/bad-value' or 'wire/unknown' for what is no query with one question. */
export function readQuery(message: Uint8Array): Query {
  const from = new Reader(message)
  const id = from.u16()
  const flags = from.u16()
  if ((flags & QR) !== 0) throw new WireError('wire/unknown', 'A DNS answer where a query was expected.')
  if ((flags & OPCODE) !== 0) throw new WireError('wire/unknown', 'A DNS operation that is no query.')
  const questions = from.u16()
  from.skip(6)
  if (questions !== 1) throw new WireError('wire/bad-value', `A DNS query with ${questions} questions.`)
  const labels: string[] = []
  let nameBytes = 1
  for (let length = from.u8(); length > 0; length = from.u8()) {
    // A pointer would have to point into the header: nothing is before the first name.
    if (length > MOST_LABEL_BYTES) throw new WireError('wire/bad-value', 'A DNS label is too long.')
    nameBytes += length + 1
    if (nameBytes > MOST_NAME_BYTES) throw new WireError('wire/too-long', 'A DNS name is too long.')
    labels.push(labelText(from.bytes(length)))
  }
  const type = from.u16()
  const isInternet = from.u16() === CLASS_IN
  const question = message.slice(HEADER_BYTES, HEADER_BYTES + nameBytes + 4)
  return { id, name: labels.join('.'), type, isInternet, wantsRecursion: (flags & RD) !== 0, question }
}

/** Bytes that mean something in the text of a name, or are no text, are written as RFC 1035 §5.1 does. */
function labelText(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) {
    if (byte >= 0x41 && byte <= 0x5a) text += String.fromCharCode(byte + 0x20)
    else if (byte === 0x2e || byte === 0x5c || byte < 0x21 || byte > 0x7e) text += `\\${String(byte).padStart(3, '0')}`
    else text += String.fromCharCode(byte)
  }
  return text
}

/** Answers of our own; those for which there is no room are left out, and the client asks again over TCP. */
export function writeAnswer(query: Query, rcode: number, answers: readonly Answer[], mostBytes: number): Uint8Array {
  const records = answers.flatMap((answer) => recordOf(answer) ?? [])
  const fixedBytes = HEADER_BYTES + query.question.length
  let bytes = fixedBytes
  const fitting = records.filter((record) => {
    if (bytes + record.length > mostBytes) return false
    bytes += record.length
    return true
  })
  const isCut = fitting.length < records.length
  const to = new Writer(bytes)
  to.u16(query.id)
  to.u16(QR | AA | (isCut ? TC : 0) | (query.wantsRecursion ? RD : 0) | RA | rcode)
  to.u16(1)
  to.u16(fitting.length)
  to.u16(0)
  to.u16(0)
  to.bytes(query.question)
  for (const record of fitting) to.bytes(record)
  return to.finish()
}

function recordOf(answer: Answer): Uint8Array | undefined {
  const data = answer.type === 'address' ? ipToBytes(answer.address) : nameBytes(answer.name)
  if (!data) return undefined
  const type = answer.type === 'name' ? TYPE.ptr : data.length === 4 ? TYPE.a : TYPE.aaaa
  const to = new Writer(12 + data.length)
  // The name of the question, which stands right after the header.
  to.u16(0xc000 | HEADER_BYTES)
  to.u16(type)
  to.u16(CLASS_IN)
  to.u32(TTL_S)
  to.u16(data.length)
  to.bytes(data)
  return to.finish()
}

function nameBytes(name: string): Uint8Array | undefined {
  const labels = name.split('.').filter((label) => label !== '')
  const bytes = labels.map((label) => Buffer.from(label, 'latin1'))
  if (bytes.some(({ length }) => length > MOST_LABEL_BYTES)) return undefined
  const all = Buffer.concat([...bytes.map((label) => Buffer.concat([Buffer.of(label.length), label])), Buffer.of(0)])
  return all.length > MOST_NAME_BYTES ? undefined : all
}

/** An answer of somebody to the query: same id, same question. */
export function answers(query: Query, message: Uint8Array): boolean {
  if (message.length < HEADER_BYTES + query.question.length) return false
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength)
  if (view.getUint16(0) !== query.id || (view.getUint16(2) & QR) === 0) return false
  // Servers may change the case of letters.
  const repeated = message.subarray(HEADER_BYTES, HEADER_BYTES + query.question.length)
  return repeated.every((byte, i) => lower(byte) === lower(query.question[i] ?? 0))
}

const lower = (byte: number): number => (byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte)

/** What of an answer that is too long for a datagram is sent: the client asks again over TCP. */
export function truncated(query: Query, answer: Uint8Array): Uint8Array {
  // A copy, also of a Buffer.
  const cut = Uint8Array.from(answer.subarray(0, HEADER_BYTES + query.question.length))
  const view = new DataView(cut.buffer)
  view.setUint16(2, view.getUint16(2) | TC)
  for (const count of [6, 8, 10]) view.setUint16(count, 0)
  return cut
}

export const isTruncated = (message: Uint8Array): boolean => ((message[2] ?? 0) & (TC >> 8)) !== 0

/** The answer's code; what it could not do is 'failed'. */
export const rcodeOf = (message: Uint8Array): number => (message[3] ?? RCODE.failed) & 0x0f

/** What the client takes in one datagram: 512, or as its OPT record says (RFC 6891 §6.2.3). */
export function takesBytes(message: Uint8Array, query: Query): number {
  const at = HEADER_BYTES + query.question.length
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength)
  const others = view.getUint16(6) + view.getUint16(8)
  const hasOpt =
    others === 0 &&
    view.getUint16(10) > 0 &&
    message.length >= at + 11 &&
    message[at] === 0 &&
    view.getUint16(at + 1) === 41
  return hasOpt ? Math.min(Math.max(view.getUint16(at + 3), 512), 4_096) : 512
}

/** The address that a name of in-addr.arpa or ip6.arpa stands for. */
export function reverseAddress(name: string): IpAddress | undefined {
  const v4 = /^((?:\d{1,3}\.){4})in-addr\.arpa$/.exec(name)?.[1]
  if (v4 !== undefined) return canonicalIp(v4.split('.').slice(0, 4).reverse().join('.'))
  const v6 = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name)?.[1]
  if (v6 === undefined) return undefined
  const digits = v6.split('.').slice(0, 32).reverse().join('')
  return bytesToIp(Uint8Array.from(Buffer.from(digits, 'hex')))
}
