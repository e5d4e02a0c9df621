import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HEARD_LIFETIME_MS, MAX_CANDIDATES, pruned, usableEndpoint, withHeard, withList } from './candidates.ts'

const many = (count: number, net: number): Set<string> =>
  new Set(Array.from({ length: count }, (_, index) => `192.0.${net}.${index}:1`))

test('endpoints that no ping should go to are refused', () => {
  for (const bad of [
    '100.64.0.1:41641',
    '[fd7a:115c:a1e0::1]:41641',
    '[fe80::1]:41641',
    '[ff02::1]:1',
    '[::]:1',
    '0.0.0.0:1',
    '224.0.0.1:1',
    '255.255.255.255:1',
    '192.0.2.1:0',
    'example.org:1',
    '',
  ])
    assert.equal(usableEndpoint(bad), undefined, bad)
  for (const good of ['192.0.2.1:1', '127.0.0.1:1', '169.254.1.1:1', '[2001:db8::1]:1'])
    assert.equal(usableEndpoint(good), good)
  assert.equal(usableEndpoint('[::ffff:192.0.2.1]:1'), undefined, 'brackets belong to IPv6')
})

test('a candidate stays for as long as anything vouches for it', () => {
  const A = '192.0.2.1:1'
  let candidates = withList(new Map(), 'inNetmap', new Set([A]))
  candidates = withList(candidates, 'called', new Set([A]))
  candidates = withHeard(candidates, A, 1_000)
  candidates = withList(withList(candidates, 'inNetmap', new Set()), 'called', new Set())
  assert.ok(pruned(candidates, undefined, 1_000 + HEARD_LIFETIME_MS - 1).has(A))
  assert.ok(!pruned(candidates, undefined, 1_000 + HEARD_LIFETIME_MS).has(A))
  assert.ok(pruned(candidates, A, 1_000 + HEARD_LIFETIME_MS).has(A))
})

test('beyond the bound, those that answered stay first, then the netmap, then the newest heard', () => {
  let candidates = withList(new Map(), 'inNetmap', many(60, 1))
  candidates = withList(candidates, 'called', many(60, 2))
  const answered = '192.0.2.59:1'
  const known = candidates.get(answered)
  assert.ok(known)
  candidates.set(answered, { ...known, latencyMs: 5 })
  candidates = withHeard(candidates, '203.0.113.1:1', 0)
  const kept = pruned(candidates, '203.0.113.1:1', 1)
  assert.equal(kept.size, MAX_CANDIDATES)
  assert.ok(kept.has(answered) && kept.has('203.0.113.1:1'))
  assert.equal([...many(60, 1)].filter((endpoint) => kept.has(endpoint)).length, 60)
})
