import assert from 'node:assert/strict'
import { test } from 'node:test'
import { guestWords, newGuests } from './guest-words.ts'

const guest = (id: string) => ({ id, name: `pc-${id}`, os: 'linux', address: '192.168.1.44', askedAt: 0 })

test('each machine is told of once, also when it asks again later', () => {
  const first = newGuests({ waiting: [guest('a')] }, new Set())
  assert.deepEqual(
    first.news.map(({ id }) => id),
    ['a'],
  )
  const second = newGuests({ waiting: [guest('a'), guest('b')] }, first.told)
  assert.deepEqual(
    second.news.map(({ id }) => id),
    ['b'],
  )
  const gone = newGuests({ waiting: [] }, second.told)
  assert.deepEqual([gone.news, gone.told.size], [[], 0])
  assert.equal(newGuests({ waiting: [guest('a')] }, gone.told).news.length, 1)
})

test('a flood is no wall of notifications', () => {
  const waiting = Array.from({ length: 20 }, (_, i) => guest(String(i)))
  const { news, told } = newGuests({ waiting }, new Set())
  assert.deepEqual([news.length, told.size], [3, 20])
  assert.equal(newGuests({ waiting: [...waiting, guest('x')] }, told).news.length, 0)
})

test('it says who asks, from where, and what a click does', () => {
  const { title, body } = guestWords(guest('a'), 'Lindenhof')
  assert.equal(title, '“pc-a” wants to join Lindenhof')
  assert.equal(body, 'linux, asking from 192.168.1.44. Click to let it in or to deny it.')
  assert.equal(
    guestWords({ ...guest('a'), user: 'karin' }, undefined).body,
    'linux, signed in as karin. Click to let it in or to deny it.',
  )
  assert.ok(guestWords({ ...guest('a'), name: 'x'.repeat(200), os: '' }, undefined).title.length < 80)
})
