// The records that the native half queues, and their batch layout (native/device/src/device/records.rs draws the same).
//
//   offset  bytes  field         little endian; a record is padded to a multiple of 8
//        0      4  recordBytes   all of it, with header and padding
//        4      1  kind          index into `KINDS`
//        5      1  textBytes
//        6      2  peer          0 for none
//        8      4  vni           all ones for none
//       12      4  region        all ones for none
//       16      8  timeMs        float
//       24      4  bodyBytes
//       28      4  reserved
//       32      -  text, then body

import { CodedError } from '../base/errors.ts'

import type { DataplaneRecord } from './dataplane.ts'

const HEADER_BYTES = 32
const NONE = 0xffff_ffff

/** By number; 0 is not used. */
const KINDS = [
  undefined,
  'disco',
  'stun',
  'geneve-control',
  'derp-out',
  'tsmp',
  'need-path',
  'path-stale',
  'peer-active',
  'peer-seen',
  'handshake',
  'handshake-failed',
  'send-error',
  'fatal',
  'refused',
] as const

const latin1 = new TextDecoder('latin1')
const utf8 = new TextDecoder()

/** Reads a batch. The records' `bytes` are views of `batch`: whoever keeps one has to copy it. */
export function readRecords(batch: Uint8Array): DataplaneRecord[] {
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength)
  const records: DataplaneRecord[] = []
  let at = 0
  while (at < batch.length) {
    const recordBytes = at + HEADER_BYTES <= batch.length ? view.getUint32(at, true) : 0
    if (recordBytes < HEADER_BYTES || at + recordBytes > batch.length) {
      throw new CodedError('dataplane/failed', 'The addon and this program do not fit together; run `npm run setup`.')
    }
    const record = readRecord(batch, view, at)
    if (record) records.push(record)
    at += recordBytes
  }
  return records
}

/** A kind that this program does not know comes from a newer addon and is left out. */
function readRecord(batch: Uint8Array, view: DataView, at: number): DataplaneRecord | undefined {
  const kind = KINDS[view.getUint8(at + 4)]
  if (!kind) return undefined
  const textEnd = at + HEADER_BYTES + view.getUint8(at + 5)
  const peer = view.getUint16(at + 6, true)
  const bytes = batch.subarray(textEnd, textEnd + view.getUint32(at + 24, true))
  const text = () => latin1.decode(batch.subarray(at + HEADER_BYTES, textEnd))
  const region = view.getUint32(at + 12, true)
  const vni = view.getUint32(at + 8, true)
  switch (kind) {
    case 'disco':
    case 'stun':
    case 'geneve-control': {
      const receivedAtMs = view.getFloat64(at + 16, true)
      return { kind, from: text(), vni: orUndefined(vni), receivedAtMs, bytes }
    }
    case 'derp-out':
      return { kind, peer, region, bytes }
    case 'tsmp':
    case 'refused':
      return { kind, peer, bytes }
    case 'peer-seen': {
      const endpoint = text()
      return {
        kind,
        peer,
        endpoint: endpoint === '' ? undefined : endpoint,
        region: orUndefined(region),
        vni: orUndefined(vni),
      }
    }
    case 'send-error':
      return { kind, endpoint: text(), errno: latin1.decode(bytes) }
    case 'fatal':
      return { kind, message: utf8.decode(bytes) }
    default:
      return { kind, peer }
  }
}

function orUndefined(value: number): number | undefined {
  return value === NONE ? undefined : value
}
