import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hash } from '@node-rs/argon2'
import { isCoded } from '../../base/errors.ts'
import { Passwords } from './passwords.ts'

test('a hash is argon2id at the strength OWASP asks for, salted, and matches its password only', async () => {
  const passwords = new Passwords()
  const [one, two] = await Promise.all([passwords.hash('otter violin harbour'), passwords.hash('otter violin harbour')])
  assert.match(one, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]{22}\$[\w+/]{43}$/)
  assert.notEqual(one, two)
  assert.deepEqual(await passwords.compare(one, 'otter violin harbour'), { matches: true, isOutdated: false })
  assert.deepEqual(await passwords.compare(one, 'otter violin harbor'), { matches: false, isOutdated: false })
})

test('the same letters typed on another keyboard are the same password', async () => {
  const passwords = new Passwords()
  const phc = await passwords.hash('tr\u00f6ffelm\u00f6we')
  assert.equal((await passwords.compare(phc, 'tro\u0308ffelmo\u0308we')).matches, true)
})

test('a hash that is cheaper than today’s is told apart', async () => {
  const cheap = await hash('otter violin harbour', { memoryCost: 8_192, timeCost: 2, parallelism: 1 })
  assert.deepEqual(await new Passwords().compare(cheap, 'otter violin harbour'), { matches: true, isOutdated: true })
})

test('without an account the same work is done, and nothing matches', async () => {
  const passwords = new Passwords()
  assert.equal((await passwords.compare(undefined, '')).matches, false)
  const phc = await passwords.hash('otter violin harbour')
  const timed = async (phc: string | undefined): Promise<number> => {
    const times: number[] = []
    for (let i = 0; i < 15; i++) {
      const startMs = performance.now()
      await passwords.compare(phc, 'not the password')
      times.push(performance.now() - startMs)
    }
    return Math.min(...times)
  }
  const [known, unknown] = [await timed(phc), await timed(undefined)]
  // Fastest of fifteen: what another process takes of the core does not count. Skipping the work would make it 100 times.
  assert.ok(unknown > known * 0.5 && unknown < known * 2, `${known} ms, ${unknown} ms`)
})

test('more than a bounded number of checks at once are refused instead of queued', async () => {
  const passwords = new Passwords()
  const results = await Promise.allSettled(Array.from({ length: 60 }, () => passwords.compare(undefined, 'x')))
  const refused = results.filter((result) => result.status === 'rejected')
  assert.equal(refused.length, 60 - 2 - 32)
  assert.ok(refused.every(({ reason }) => isCoded(reason, 'login/busy')))
  assert.equal((await passwords.compare(undefined, 'x')).matches, false, 'and afterwards all is as before')
})
