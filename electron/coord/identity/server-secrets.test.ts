import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MachinePrivate } from '../../crypto/keys.ts'
import { ServerSecrets } from './server-secrets.ts'

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

test('what one server sealed for one purpose opens there and nowhere else', () => {
  const [here, there] = [new ServerSecrets(MachinePrivate.generate()), new ServerSecrets(MachinePrivate.generate())]
  const sealed = here.seal('totp 1', utf8('secret'))
  assert.deepEqual(here.open('totp 1', sealed), utf8('secret'))
  assert.equal(here.open('totp 2', sealed), undefined)
  assert.equal(there.open('totp 1', sealed), undefined)
  assert.equal(Buffer.from(sealed).includes('secret'), false)
  assert.notDeepEqual(here.seal('totp 1', utf8('secret')), sealed)
})

test('a sealed secret of which one bit changed, or a part is missing, does not open', () => {
  const secrets = new ServerSecrets(MachinePrivate.generate())
  const sealed = secrets.seal('x', utf8('abc'))
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const spoilt = Uint8Array.from(sealed)
    spoilt[bit >> 3] = (spoilt[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    assert.equal(secrets.open('x', spoilt), undefined)
  }
  for (let length = 0; length < sealed.length; length++)
    assert.equal(secrets.open('x', sealed.subarray(0, length)), undefined)
})

test('a setup code stays the same for its round, and is another server’s or round’s never', () => {
  const key = MachinePrivate.generate()
  const codes = [0, 1, 2].map((round) => new ServerSecrets(key).setupCode(round))
  assert.equal(new ServerSecrets(key).setupCode(0), codes[0])
  assert.equal(new Set([...codes, new ServerSecrets(MachinePrivate.generate()).setupCode(0)]).size, 4)
})
