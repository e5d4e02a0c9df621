import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chacha20poly1305 } from '@noble/ciphers/chacha.js'
import fc from 'fast-check'
import { fromHex, toHex, utf8 } from '../base/bytes.ts'
import { isCoded } from '../base/errors.ts'
import { MachinePrivate } from './keys.ts'
import { initiateNoise, respondNoise } from './noise-ik.ts'

const hex = (text: string): Uint8Array => fromHex(text) ?? assert.fail('bad hex in the test')

// mcginty/snow tests/vectors/cacophony.txt, Noise_IK_25519_ChaChaPoly_BLAKE2s.
const CACOPHONY = {
  prologue: hex('4a6f686e2047616c74'),
  initiatorStatic: hex('e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1'),
  initiatorEphemeral: hex('893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a'),
  responderStatic: hex('4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893'),
  responderPublic: hex('31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62'),
  responderEphemeral: hex('bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b'),
  payload1: hex('4c756477696720766f6e204d69736573'),
  message1:
    'ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79440b03ddc7aac5123d06a1b23b71670e32e76c28239a7ca4ac8f784de7e44c1adbfc6e83fef7352a58d9d56157400c0a737b1d171ce368229c7b752ac25b8faf4eca690f6d896f543be02c996ab2b86b76',
  payload2: hex('4d757272617920526f746862617264'),
  message2:
    '95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843d9b5a8927f0ac9655ef76833bc7e5561f42e691ac8404efd6fbd6308b6a27c',
  handshakeHash: '48f3cb8bc9319da4ba1e9933991b1c4ed4034f1f126a76d3a1fbcfd7f94248d4',
}

const seal = (key: Uint8Array, text: string): string =>
  toHex(chacha20poly1305(key, new Uint8Array(12)).encrypt(hex(text)))

test('the public vector of this suite is reproduced by both sides', () => {
  const v = CACOPHONY
  const initiator = initiateNoise({
    prologue: v.prologue,
    staticSecret: v.initiatorStatic,
    remoteStatic: v.responderPublic,
    payload: v.payload1,
    ephemeralSecret: v.initiatorEphemeral,
  })
  assert.equal(toHex(initiator.message), v.message1)
  const responder = respondNoise(
    {
      prologue: v.prologue,
      staticSecret: v.responderStatic,
      payload: v.payload2,
      ephemeralSecret: v.responderEphemeral,
    },
    initiator.message,
  )
  assert.equal(toHex(responder.message), v.message2)
  assert.deepEqual(responder.remoteStatic, new MachinePrivate(v.initiatorStatic).public.bytes)
  assert.deepEqual(responder.session.payload, v.payload1)
  const session = initiator.finish(responder.message)
  assert.deepEqual(session.payload, v.payload2)
  assert.equal(toHex(session.handshakeHash), v.handshakeHash)
  assert.equal(toHex(responder.session.handshakeHash), v.handshakeHash)
  assert.deepEqual(session.sendKey, responder.session.receiveKey)
  assert.deepEqual(session.receiveKey, responder.session.sendKey)
  assert.equal(
    seal(session.sendKey, '462e20412e20486179656b'),
    '2c256ed08fcd08c2980f954ee4beaccb61c9581340f5dd2fd1cf3b',
  )
  assert.equal(
    seal(responder.session.sendKey, '4361726c204d656e676572'),
    'd6033f70eee20945c7c9dba304e397ee3b284ff5e00fd9efb095d3',
  )
})

// control.md §12.2: this protocol with fixed keys and version 145.
test('the fixed keys of the control protocol give its known messages and keys', () => {
  const prologue = utf8('Tailscale Control Protocol v145')
  const server = hex('1011111111111111111111111111111111111111111111111111111111111151')
  const initiator = initiateNoise({
    prologue,
    staticSecret: hex('2022222222222222222222222222222222222222222222222222222222222262'),
    remoteStatic: hex('7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13'),
    ephemeralSecret: hex('3033333333333333333333333333333333333333333333333333333333333373'),
  })
  const responder = respondNoise(
    {
      prologue,
      staticSecret: server,
      ephemeralSecret: hex('4044444444444444444444444444444444444444444444444444444444444444'),
    },
    initiator.message,
  )
  assert.equal(toHex(responder.remoteStatic), '0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20')
  const session = initiator.finish(responder.message)
  assert.equal(toHex(session.handshakeHash), '06c59e2c9cf61b04919795c127f29cd25363c67a77723b7299ba3118c8f04886')
  assert.equal(toHex(session.sendKey), '97bb1ff1b3c0030ed1e8f7d54ad3728ad885ba618751ae88d5a752c3c5f31027')
  assert.equal(toHex(session.receiveKey), '67e4e0ae881d024a7aef742740ca594e486443a61ac5362959c6b1350e8e5ab0')
})

const client = MachinePrivate.generate()
const server = MachinePrivate.generate()
const prologue = utf8('test')
const start = () => initiateNoise({ prologue, staticSecret: client.secretBytes(), remoteStatic: server.public.bytes })

test('a message changed in any byte is refused, and the genuine reply still works after a forged one', () => {
  const initiator = start()
  const responder = respondNoise({ prologue, staticSecret: server.secretBytes() }, initiator.message)
  for (let i = 0; i < initiator.message.length; i++) {
    const changed = initiator.message.slice()
    changed[i] = (changed[i] ?? 0) ^ 1
    assert.throws(
      () => respondNoise({ prologue, staticSecret: server.secretBytes() }, changed),
      (error) => isCoded(error, 'crypto/noise-failed'),
    )
  }
  for (let i = 0; i < responder.message.length; i++) {
    const changed = responder.message.slice()
    changed[i] = (changed[i] ?? 0) ^ 1
    assert.throws(
      () => initiator.finish(changed),
      (error) => isCoded(error, 'crypto/noise-failed'),
    )
  }
  assert.deepEqual(initiator.finish(responder.message).sendKey, responder.session.receiveKey)
})

test('another prologue or another server key is refused', () => {
  const initiator = start()
  const refused = (error: unknown): boolean => isCoded(error, 'crypto/noise-failed')
  assert.throws(
    () => respondNoise({ prologue: utf8('x'), staticSecret: server.secretBytes() }, initiator.message),
    refused,
  )
  assert.throws(() => respondNoise({ prologue, staticSecret: client.secretBytes() }, initiator.message), refused)
})

test('no bytes whatever fail other than with a code, low-order points included', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), (junk) => {
      assert.throws(
        () => respondNoise({ prologue, staticSecret: server.secretBytes() }, junk),
        (error) => isCoded(error, 'crypto/noise-failed'),
      )
    }),
    { numRuns: 50 },
  )
  assert.throws(
    () => respondNoise({ prologue, staticSecret: server.secretBytes() }, new Uint8Array(96)),
    (error) => isCoded(error, 'crypto/noise-failed'),
  )
})
