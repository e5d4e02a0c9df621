// The parts of the binding that need no network device; what the native half does is tested in test/lab.

import assert from 'node:assert/strict'
import test from 'node:test'

import fc from 'fast-check'

import { isCoded } from '../base/errors.ts'

import { FakeDataplane } from './fake-dataplane.ts'
import { readRecords } from './records.ts'

import type { DataplaneRecord } from './dataplane.ts'

const NONE = 0xffff_ffff

interface Raw {
  readonly kind: number
  readonly peer?: number
  readonly vni?: number
  readonly region?: number
  readonly timeMs?: number
  readonly text?: string
  readonly body?: Uint8Array
}

/** As native/device/src/device/records.rs writes one. */
function raw({ kind, peer = 0, vni = NONE, region = NONE, timeMs = 0, text = '', body = new Uint8Array() }: Raw) {
  const bytes = Buffer.alloc(Math.ceil((32 + text.length + body.length) / 8) * 8)
  bytes.writeUInt32LE(bytes.length, 0)
  bytes.writeUInt8(kind, 4)
  bytes.writeUInt8(text.length, 5)
  bytes.writeUInt16LE(peer, 6)
  bytes.writeUInt32LE(vni, 8)
  bytes.writeUInt32LE(region, 12)
  bytes.writeDoubleLE(timeMs, 16)
  bytes.writeUInt32LE(body.length, 24)
  bytes.write(text, 32, 'latin1')
  bytes.set(body, 32 + text.length)
  return bytes
}

const plain = (records: readonly DataplaneRecord[]) =>
  records.map((record) => ('bytes' in record ? { ...record, bytes: [...record.bytes] } : record))

test('reads every kind of record', () => {
  const body = Uint8Array.of(1, 2, 3)
  const batch = Buffer.concat([
    raw({ kind: 1, text: '192.0.2.1:41641', timeMs: 1.5, body }),
    raw({ kind: 2, text: '[2001:db8::1]:3478', timeMs: 2, body }),
    raw({ kind: 3, text: '192.0.2.1:7', vni: 9, timeMs: 3, body }),
    raw({ kind: 4, peer: 5, region: 900, body }),
    raw({ kind: 5, peer: 5, body }),
    raw({ kind: 6, peer: 65_535 }),
    raw({ kind: 7, peer: 1 }),
    raw({ kind: 8, peer: 1 }),
    raw({ kind: 9, peer: 1, text: '192.0.2.9:1', vni: 4 }),
    raw({ kind: 9, peer: 1, region: 7 }),
    raw({ kind: 10, peer: 1 }),
    raw({ kind: 11, peer: 1 }),
    raw({ kind: 12, text: '192.0.2.9:1', body: Buffer.from('ENETUNREACH') }),
    raw({ kind: 13, body: Buffer.from('peerway-rx panicked: größer') }),
  ])
  assert.deepEqual(plain(readRecords(batch)), [
    { kind: 'disco', from: '192.0.2.1:41641', vni: undefined, receivedAtMs: 1.5, bytes: [1, 2, 3] },
    { kind: 'stun', from: '[2001:db8::1]:3478', vni: undefined, receivedAtMs: 2, bytes: [1, 2, 3] },
    { kind: 'geneve-control', from: '192.0.2.1:7', vni: 9, receivedAtMs: 3, bytes: [1, 2, 3] },
    { kind: 'derp-out', peer: 5, region: 900, bytes: [1, 2, 3] },
    { kind: 'tsmp', peer: 5, bytes: [1, 2, 3] },
    { kind: 'need-path', peer: 65_535 },
    { kind: 'path-stale', peer: 1 },
    { kind: 'peer-active', peer: 1 },
    { kind: 'peer-seen', peer: 1, endpoint: '192.0.2.9:1', region: undefined, vni: 4 },
    { kind: 'peer-seen', peer: 1, endpoint: undefined, region: 7, vni: undefined },
    { kind: 'handshake', peer: 1 },
    { kind: 'handshake-failed', peer: 1 },
    { kind: 'send-error', endpoint: '192.0.2.9:1', errno: 'ENETUNREACH' },
    { kind: 'fatal', message: 'peerway-rx panicked: größer' },
  ])
})

test('leaves out kinds of a newer addon and keeps what follows', () => {
  const batch = Buffer.concat([raw({ kind: 200 }), raw({ kind: 10, peer: 3 })])
  assert.deepEqual(readRecords(batch), [{ kind: 'handshake', peer: 3 }])
})

test('no batch whatever fails except with a coded error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (batch) => {
      try {
        readRecords(batch)
      } catch (error) {
        assert.ok(isCoded(error, 'dataplane/failed'))
      }
    }),
  )
})

test('the fake keeps paths and trust of known peers only', () => {
  const fake = new FakeDataplane()
  const peer = { id: 1, publicKey: new Uint8Array(32), allowedIps: [], persistentKeepaliveSeconds: 0 }
  const path = { leg: { kind: 'derp', region: 1 }, fallback: undefined, trustedUntilMs: 5 } as const
  fake.setPath(1, path)
  assert.equal(fake.paths.size, 0)
  fake.setPeers([peer])
  fake.setPath(1, path)
  fake.trust(1, 9)
  assert.deepEqual(fake.paths.get(1), { ...path, trustedUntilMs: 9 })
  fake.setPeers([])
  assert.equal(fake.paths.size, 0)
})

test('the fake keeps records until someone listens', () => {
  const fake = new FakeDataplane()
  fake.push({ kind: 'need-path', peer: 1 })
  const seen: DataplaneRecord[] = []
  fake.onRecords((records) => seen.push(...records))
  fake.push({ kind: 'need-path', peer: 2 })
  assert.deepEqual(seen, [
    { kind: 'need-path', peer: 1 },
    { kind: 'need-path', peer: 2 },
  ])
})

test('the fake copies what it is given and lets a test refuse a send', () => {
  const fake = new FakeDataplane()
  const bytes = Uint8Array.of(1, 2, 3, 4)
  fake.sendRaw('192.0.2.1:1', bytes)
  fake.injectDerp(9, bytes, Uint32Array.of(0, 1, 2, 2))
  bytes.fill(0)
  assert.deepEqual(fake.raw[0]?.bytes, Uint8Array.of(1, 2, 3, 4))
  assert.deepEqual(fake.injected, [{ region: 9, packets: [Uint8Array.of(1), Uint8Array.of(3, 4)] }])
  fake.onSendRaw = () => 'ENETUNREACH'
  assert.equal(fake.sendRaw('192.0.2.1:1', bytes), 'ENETUNREACH')
})
