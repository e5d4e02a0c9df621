// JSON as Go writes it. The one trap: 64-bit integers. Node IDs that the hosted service gave out before March 2023 do not
// fit a double (control.md §0.3), so integers beyond 2^53 are kept as their decimal text; the integer shapes know that.

import { fromUtf8, utf8 } from '../../base/bytes.ts'
import { WireError } from '../codec.ts'

/** Cheap test for an integer of 16 digits or more outside of any word; keys in hex end otherwise. */
const LONG_INTEGER = /[:[,\s]-?\d{16,}\s*[,\]}]/
/** Strings are matched to be stepped over. */
const STRING_OR_NUMBER = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/gs

/** Throws WireError. Bytes that are no UTF-8 become U+FFFD, as in Go. */
export function parseJson(bytes: Uint8Array): unknown {
  let text = fromUtf8(bytes)
  if (LONG_INTEGER.test(text)) text = text.replaceAll(STRING_OR_NUMBER, quoteIfUnsafe)
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new WireError('wire/bad-value', 'The message is no JSON.', { cause })
  }
}

function quoteIfUnsafe(token: string): string {
  return /^-?\d+$/.test(token) && !Number.isSafeInteger(Number(token)) ? `"${token}"` : token
}

export function encodeJson(value: unknown): Uint8Array {
  return utf8(JSON.stringify(value))
}
