import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fromHex, toHex } from '../../base/bytes.ts'
import { CodedError, isCoded } from '../../base/errors.ts'
import { MachinePrivate } from '../../crypto/keys.ts'
import { clientHandshake, encodeHandshakeError, replyBytes, RESPONSE_BYTES, serverHandshake } from './handshake.ts'

const hex = (text: string): Uint8Array => fromHex(text) ?? assert.fail('bad hex in the test')

// control.md §12.2.
const CONTROL = new MachinePrivate(hex('1011111111111111111111111111111111111111111111111111111111111151'))
const MACHINE = new MachinePrivate(hex('2022222222222222222222222222222222222222222222222222222222222262'))
const MACHINE_EPHEMERAL = hex('3033333333333333333333333333333333333333333333333333333333333373')
const CONTROL_EPHEMERAL = hex('4044444444444444444444444444444444444444444444444444444444444444')
const INITIATION =
  '00910100607b0d47d93427f8311160781c7c733fd89f88970aef490d8aa0ee19a4cb8a1b14b903b541e3810f9a9f788541f1d8f2ec482568e39b9f0f56a9f4a7a56450f31a9dc60bcb4e75254359f9460a6bc3abd2a01b3a2deff662afe0b9497becb6a113'
const RESPONSE =
  '020030ff2ee45601ec1b67310c7790404585ae697331eee1c1f8cf2419731c1fff3e6bb724869747b9edde7346ebd00e8c83be'

test('both messages of the known handshake are reproduced, and the server learns machine key and version', () => {
  const client = clientHandshake(145, MACHINE, CONTROL.public, MACHINE_EPHEMERAL)
  assert.equal(toHex(client.initiation), INITIATION)
  const server = serverHandshake(client.initiation, CONTROL, CONTROL_EPHEMERAL)
  assert.equal(toHex(server.response), RESPONSE)
  assert.equal(server.peer.text, MACHINE.public.text)
  assert.equal(server.version, 145)
  const keys = client.finish(server.response)
  assert.deepEqual(keys, {
    sendKey: server.keys.receiveKey,
    receiveKey: server.keys.sendKey,
    handshakeHash: server.keys.handshakeHash,
  })
  assert.equal(toHex(keys.sendKey), '97bb1ff1b3c0030ed1e8f7d54ad3728ad885ba618751ae88d5a752c3c5f31027')
})

test('an error frame becomes an error with its text, made harmless', () => {
  const frame = encodeHandshakeError('unexpected handshake message type')
  assert.equal(toHex(frame), '030021756e65787065637465642068616e647368616b65206d6573736167652074797065')
  const client = clientHandshake(119, MACHINE, CONTROL.public)
  assert.throws(
    () => client.finish(frame),
    (error) => isCoded(error, 'wire/handshake-refused') && error.message.includes('unexpected handshake message type'),
  )
  assert.throws(
    () => client.finish(encodeHandshakeError('a\u001b[2Jb')),
    (error) => isCoded(error, 'wire/handshake-refused') && !error.message.includes('\u001b'),
  )
})

test('a version changed on the way breaks the handshake', () => {
  const client = clientHandshake(119, MACHINE, CONTROL.public)
  const changed = client.initiation.slice()
  changed[1] = 118
  assert.throws(
    () => serverHandshake(changed, CONTROL),
    (error) => isCoded(error, 'crypto/noise-failed'),
  )
})

test('malformed initiations are refused with the texts of the reference server', () => {
  const good = hex(INITIATION)
  const wrongType = good.slice()
  wrongType[2] = 4
  const wrongLength = good.slice()
  wrongLength[4] = 95
  const message = (input: Uint8Array): string => {
    try {
      serverHandshake(input, CONTROL)
    } catch (error) {
      return error instanceof Error ? error.message : ''
    }
    return ''
  }
  assert.equal(message(good.subarray(1)), 'wrong handshake initiation size')
  assert.equal(message(wrongType), 'unexpected handshake message type')
  assert.equal(message(wrongLength), 'wrong handshake initiation length')
})

test('no reply whatever fails other than with a code', () => {
  const client = clientHandshake(119, MACHINE, CONTROL.public)
  const reply = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    fc.uint8Array({ minLength: 48, maxLength: 48 }).map((body) => Uint8Array.of(2, 0, 48, ...body)),
  )
  fc.assert(
    fc.property(reply, (junk) => {
      assert.throws(
        () => client.finish(junk),
        (error) => error instanceof CodedError,
      )
    }),
  )
  assert.equal(replyBytes(Uint8Array.of(2, 0, 48)), RESPONSE_BYTES)
  for (const bad of [
    [2, 0, 49],
    [3, 255, 255],
    [4, 0, 48],
    [2, 0],
  ])
    assert.throws(
      () => replyBytes(Uint8Array.from(bad)),
      (error) => error instanceof CodedError,
    )
})
