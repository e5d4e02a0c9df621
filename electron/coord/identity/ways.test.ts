import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isUsable, mayRemove, type Way, waysOf } from './ways.ts'

const HOSTS = new Set(['home.example.org', 'localhost'])
const passkey = (id: string, rpId = 'home.example.org') => ({ id, rpId })

function* ordersOf<T>(items: readonly T[]): Generator<T[]> {
  if (items.length === 0) yield []
  for (const [i, item] of items.entries())
    for (const rest of ordersOf(items.filter((_, at) => at !== i))) yield [item, ...rest]
}

test('whatever a person has, and in every order of removing it, a usable way stays', () => {
  const all = [passkey('a'), passkey('b'), passkey('local', 'localhost'), passkey('old', 'old.example.org')]
  let orders = 0
  for (let chosen = 0; chosen < 32; chosen++) {
    const start = waysOf(
      all.filter((_, i) => (chosen & (1 << i)) !== 0),
      chosen >= 16,
    )
    for (const order of ordersOf(start)) {
      orders++
      let ways: readonly Way[] = start
      for (const which of order) {
        const allowed = mayRemove(ways, which, HOSTS)
        const left = ways.filter((way) => way !== which)
        assert.equal(
          allowed,
          left.some((way) => isUsable(way, HOSTS)),
        )
        if (allowed) ways = left
      }
      const usable = start.filter((way) => isUsable(way, HOSTS))
      if (usable.length > 0) assert.equal(ways.filter((way) => isUsable(way, HOSTS)).length, 1)
      assert.equal(ways.length, usable.length > 0 ? 1 : start.length)
    }
  }
  assert.ok(orders > 300)
})

test('a passkey of a name the server had before neither counts nor needs to stay', () => {
  const ways = waysOf([passkey('old', 'old.example.org')], true)
  assert.equal(mayRemove(ways, { kind: 'password' }, HOSTS), false)
  const [old] = ways
  assert.ok(old && mayRemove(ways, old, HOSTS))
})
