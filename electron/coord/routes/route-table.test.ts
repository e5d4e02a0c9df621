import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { electPrimary, RouteTable } from './route-table.ts'

const LAN = '10.1.0.0/16'

function table(former: readonly [string, number][] = []) {
  const routes = new Map<number, string[]>()
  const online = new Set<number>()
  const tags = new Map<number, string[]>()
  const made = new RouteTable({
    routesOf: (id) => routes.get(id) ?? [],
    tagsOf: (id) => tags.get(id) ?? [],
    isOnline: (id) => online.has(id),
    formerPrimaries: new Map(former),
  })
  return {
    made,
    tags,
    set: (id: number, announced: string[], isOnline: boolean): readonly number[] => {
      routes.set(id, announced)
      if (isOnline) online.add(id)
      else online.delete(id)
      return made.touch(id)
    },
    primary: (route = LAN) => [...routes.keys()].filter((id) => made.served(id).subnets.includes(route)),
  }
}

test('one router serves a network, another takes over when it goes, and keeps it', () => {
  const { set, primary } = table()
  set(1, [LAN], true)
  set(2, [LAN], true)
  assert.deepEqual(primary(), [1])
  assert.deepEqual(
    set(1, [LAN], false).toSorted((a, b) => a - b),
    [1, 2],
  )
  assert.deepEqual(primary(), [2])
  assert.deepEqual(set(1, [LAN], true), [])
  assert.deepEqual(primary(), [2])
})

test('with nobody online the last one stays', () => {
  const { set, primary } = table()
  set(1, [LAN], true)
  set(2, [LAN], true)
  set(1, [LAN], false)
  assert.deepEqual(set(2, [LAN], false), [])
  assert.deepEqual(primary(), [2])
})

test('a restart of the server moves nobody', () => {
  const { set, primary } = table([[LAN, 2]])
  set(2, [LAN], true)
  set(1, [LAN], true)
  assert.deepEqual(primary(), [2])
})

test('those who are steered go through a router with the tag, whoever else is primary', () => {
  const { set, made, tags } = table()
  for (const id of [2, 3]) tags.set(id, ['tag:a'])
  for (const id of [1, 2, 3]) set(id, [LAN], true)
  assert.deepEqual([made.steered(LAN, ['tag:a', 'tag:b']), made.steered(LAN, ['tag:b'])], [2, undefined])
  assert.deepEqual([made.served(1).subnets, made.served(2).standby], [[LAN], [LAN]])
  assert.deepEqual(
    set(2, [LAN], false).toSorted((a, b) => a - b),
    [2, 3],
  )
  assert.deepEqual([made.steered(LAN, ['tag:a', 'tag:b']), made.served(1).subnets], [3, [LAN]])
  assert.deepEqual(set(2, [LAN], true), [])
  assert.equal(made.steered(LAN, ['tag:a', 'tag:b']), 3)
})

test('the first router with the tag takes those who are steered over from the primary one', () => {
  const { set, made, tags } = table()
  set(1, [LAN], true)
  set(2, [LAN], true)
  assert.equal(made.steered(LAN, ['tag:a']), undefined)
  tags.set(2, ['tag:a'])
  assert.deepEqual(
    set(2, [LAN], true).toSorted((a, b) => a - b),
    [1, 2],
  )
  assert.equal(made.steered(LAN, ['tag:a']), 2)
})

test('a router that takes its announcement back serves nothing', () => {
  const { set, primary, made } = table()
  set(1, [LAN, '10.2.0.0/16'], true)
  set(2, [LAN], true)
  set(1, ['10.2.0.0/16'], true)
  assert.deepEqual([primary(), primary('10.2.0.0/16')], [[2], [1]])
  set(1, [], true)
  assert.deepEqual(made.served(1).subnets, [])
})

test('every exit node serves, several at a time', () => {
  const { set, made } = table()
  for (const id of [1, 2]) set(id, ['0.0.0.0/0', '::/0'], true)
  for (const id of [1, 2]) assert.deepEqual(made.served(id).exits, ['0.0.0.0/0', '::/0'])
  assert.deepEqual([...made.replaceable()], [])
})

test('whatever happens: a network with an online router is served by exactly one, which is online', () => {
  const step = fc.record({
    id: fc.integer({ min: 1, max: 5 }),
    routes: fc.subarray([LAN, '10.2.0.0/16', '0.0.0.0/0']),
    isOnline: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { set, primary } = table()
      const now = new Map<number, { routes: string[]; isOnline: boolean }>()
      for (const { id, routes, isOnline } of steps) {
        set(id, routes, isOnline)
        now.set(id, { routes, isOnline })
        for (const route of [LAN, '10.2.0.0/16']) {
          const candidates = [...now].filter(([, node]) => node.routes.includes(route))
          const served = primary(route)
          assert.equal(served.length, candidates.length > 0 ? 1 : 0)
          if (candidates.some(([, node]) => node.isOnline)) assert.ok(now.get(served[0] ?? 0)?.isOnline)
        }
      }
    }),
  )
})

test('nobody is elected where nobody stands', () => {
  assert.equal(
    electPrimary(new Set(), 3, () => true),
    undefined,
  )
})
