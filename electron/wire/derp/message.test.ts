import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { fromHex, toHex } from '../../base/bytes.ts'
import { NodePrivate, NodePublic } from '../../crypto/keys.ts'
import { WireError } from '../codec.ts'
import { FRAME_HEADER_BYTES } from './frame.ts'
import { decodeClientInfoJson, openClientInfo, openServerInfo, sealClientInfo, sealServerInfo } from './handshake.ts'
import { decodeFrame, encodeFrame, type DerpMessage } from './message.ts'

const filled = (byte: number): Uint8Array => new Uint8Array(32).fill(byte)
const bytesOf = (hex: string): Uint8Array => fromHex(hex) ?? assert.fail('bad hex in a vector')
const decodeWhole = (frame: Uint8Array): DerpMessage => decodeFrame(frame[0] ?? 0, frame.subarray(FRAME_HEADER_BYTES))

// Vectors: protocol notes paths.md §11.5, computed with an independent NaCl implementation.
const server = new NodePrivate(filled(0x66))
const clientA = new NodePrivate(filled(0x11))
const nonce = Uint8Array.from({ length: 24 }, (_, i) => i)
const SERVER_KEY_HEX = '219e4d800da968d2a5fcb009c784f4746c7138edb9ee4844b739e830b05cf424'
const CLIENT_INFO_HEX =
  '02000000687b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13000102030405060708090a0b0c0d0e0f10111213141516178745822372b5a4452d2a13c450342182a5fc78058c3e3debb6543ac73e2503bf952fadf4c93f6ec6d9c7882e4ab96b2e'
const SERVER_INFO_HEX =
  '0300000035000102030405060708090a0b0c0d0e0f1011121314151617b0a01020160115209bb0dace60484132a5fc78058c3e3debb6543ac76f'

test('writes and reads the golden server key frame', () => {
  const hex = `010000002844455250f09f9491${SERVER_KEY_HEX}`
  assert.equal(toHex(encodeFrame('serverKey', { key: server.public })), hex)
  const message = decodeWhole(bytesOf(hex))
  assert.ok(message.kind === 'serverKey' && message.body.key.equals(server.public))
})

test('accepts a server key frame with bytes of a later version after the key', () => {
  const payload = bytesOf(`44455250f09f9491${SERVER_KEY_HEX}0102`)
  assert.equal(decodeFrame(0x01, payload).kind, 'serverKey')
})

test('writes and opens the golden client info', () => {
  const info = { version: 2, canAckPings: true, isProber: false, appName: undefined, meshKey: undefined }
  assert.equal(toHex(encodeFrame('clientInfo', sealClientInfo(clientA, server.public, info, nonce))), CLIENT_INFO_HEX)
  const message = decodeWhole(bytesOf(CLIENT_INFO_HEX))
  assert.ok(message.kind === 'clientInfo')
  assert.deepEqual(openClientInfo(server, message.body), info)
  assert.throws(() => openClientInfo(new NodePrivate(filled(0x67)), message.body), { code: 'wire/bad-value' })
  assert.throws(() => openClientInfo(server, { ...message.body, clientKey: new NodePublic(filled(9)) }), WireError)
  assert.throws(() => openClientInfo(server, { ...message.body, clientKey: NodePublic.zero }), WireError)
})

test('writes and opens the golden server info', () => {
  const info = { version: 2, tokenBucketBytesPerSecond: undefined, tokenBucketBytesBurst: undefined }
  assert.equal(toHex(encodeFrame('serverInfo', sealServerInfo(server, clientA.public, info, nonce))), SERVER_INFO_HEX)
  const message = decodeWhole(bytesOf(SERVER_INFO_HEX))
  assert.ok(message.kind === 'serverInfo')
  assert.deepEqual(openServerInfo(clientA, server.public, message.body), info)
})

test('writes and reads the golden small frames', () => {
  const cases: readonly (readonly [string, Uint8Array])[] = [
    ['0600000000', encodeFrame('keepAlive', {})],
    ['070000000101', encodeFrame('notePreferred', { isHome: true })],
    ['12000000080102030405060708', encodeFrame('ping', { data: bytesOf('0102030405060708') })],
    ['13000000080102030405060708', encodeFrame('pong', { data: bytesOf('0102030405060708') })],
    [`0800000021${'77'.repeat(32)}01`, encodeFrame('peerGone', { peer: new NodePublic(filled(0x77)), reason: 1 })],
    ['1500000008000003e800001388', encodeFrame('restarting', { reconnectInMs: 1000, tryForMs: 5000 })],
  ]
  for (const [hex, frame] of cases) {
    assert.equal(toHex(frame), hex)
    const { kind, body } = decodeWhole(frame)
    assert.equal(toHex(encodeFrame(kind, body as never)), hex)
  }
})

test('reads the shorter forms that older servers send', () => {
  const key = filled(0x77)
  const gone = decodeFrame(0x08, key)
  assert.ok(gone.kind === 'peerGone' && gone.body.reason === 0)
  const present = decodeFrame(0x09, key)
  assert.ok(present.kind === 'peerPresent' && present.body.address === undefined)
  const withAddress = new Uint8Array(50)
  withAddress.set(bytesOf('00000000000000000000ffffc0000221'), 32)
  withAddress.set([0x01, 0xbb], 48)
  const located = decodeFrame(0x09, withAddress)
  assert.ok(located.kind === 'peerPresent')
  assert.equal(located.body.address, '192.0.2.33')
  assert.equal(located.body.port, 443)
  assert.equal(located.body.flags, 0)
})

test('reads client info of a client that spells its fields otherwise', () => {
  const info = decodeClientInfoJson(new TextEncoder().encode('{"version":2,"can_ack_pings":true,"AppName":7}'))
  assert.deepEqual(info, { version: 2, canAckPings: false, isProber: false, appName: undefined, meshKey: undefined })
})

test('refuses NotePreferred of any other length than one', () => {
  assert.throws(() => decodeFrame(0x07, Uint8Array.of(1, 0)), { code: 'wire/bad-value' })
  assert.throws(() => decodeFrame(0x07, new Uint8Array(0)), { code: 'wire/bad-value' })
})

test('what is written is read back', () => {
  const key = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => new NodePublic(bytes))
  const data = fc.uint8Array({ maxLength: 2000 })
  const eight = fc.uint8Array({ minLength: 8, maxLength: 8 })
  const u32 = fc.nat(0xffffffff)
  const frames = fc.oneof(
    fc.tuple(key, data).map(([to, bytes]) => encodeFrame('sendPacket', { to, data: bytes })),
    fc.tuple(key, data).map(([from, bytes]) => encodeFrame('recvPacket', { from, data: bytes })),
    fc.tuple(key, key, data).map(([from, to, bytes]) => encodeFrame('forwardPacket', { from, to, data: bytes })),
    fc.tuple(key, fc.nat(255)).map(([peer, reason]) => encodeFrame('peerGone', { peer, reason })),
    fc
      .tuple(key, fc.ipV4(), fc.nat(65_535), fc.nat(255))
      .map(([peer, address, port, flags]) => encodeFrame('peerPresent', { peer, address, port, flags })),
    key.map((peer) => encodeFrame('closePeer', { peer })),
    eight.map((bytes) => encodeFrame('ping', { data: bytes })),
    fc.string().map((problem) => encodeFrame('health', { problem })),
    fc.tuple(u32, u32).map(([reconnectInMs, tryForMs]) => encodeFrame('restarting', { reconnectInMs, tryForMs })),
  )
  fc.assert(
    fc.property(frames, (frame) => {
      const { kind, body } = decodeWhole(frame)
      assert.equal(toHex(encodeFrame(kind, body as never)), toHex(frame))
    }),
  )
})

test('no payload whatever fails except with a wire code', () => {
  fc.assert(
    fc.property(fc.nat(0x20), fc.uint8Array({ maxLength: 200 }), (type, payload) => {
      try {
        const message = decodeFrame(type, payload)
        if (message.kind === 'clientInfo') openClientInfo(server, message.body)
        if (message.kind === 'serverInfo') openServerInfo(clientA, server.public, message.body)
      } catch (error) {
        assert.ok(error instanceof WireError, String(error))
      }
    }),
  )
})
