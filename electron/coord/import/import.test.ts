import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import Database from 'libsql'
import fc from 'fast-check'
import { isCoded } from '../../base/errors.ts'
import { MachinePublic, NodePublic, randomScalar } from '../../crypto/keys.ts'
import type { ForeignNetwork, ForeignNode } from './foreign-network.ts'
import { readHeadscaleDatabase } from './headscale-database.ts'
import { planImport, type Taken } from './import-plan.ts'

const nothing: Taken = { users: new Set(), machines: new Set(), names: new Set(), addresses: new Set() }

const nodeOf = (more: Partial<ForeignNode> = {}): ForeignNode => ({
  name: 'nas',
  hostname: 'nas',
  user: 'anna',
  machineKey: new MachinePublic(randomScalar()),
  nodeKey: new NodePublic(randomScalar()),
  addressV4: '100.64.0.7',
  addressV6: 'fd7a:115c:a1e0::7',
  tags: [],
  routes: [],
  expiresAtMs: undefined,
  ...more,
})
const networkOf = (...nodes: readonly ForeignNode[]): ForeignNetwork => ({
  users: [{ foreignId: 1, name: 'anna', displayName: 'Anna', email: undefined }],
  nodes,
  unread: [],
  policy: undefined,
})

test('names and addresses stay where nobody else has them', () => {
  const { nodes, remarks } = planImport(networkOf(nodeOf()), nothing)
  assert.deepEqual(
    nodes.map(({ name, address }) => [name, address]),
    [['nas', { v4: '100.64.0.7', v6: 'fd7a:115c:a1e0::7' }]],
  )
  assert.deepEqual(remarks, [])
})

test('what is taken, or no address of ours, is named and replaced', () => {
  const taken = { ...nothing, names: new Set(['nas']), addresses: new Set(['100.64.0.7' as const]) } as Taken
  const outside = nodeOf({ name: 'other', addressV4: '10.1.2.3', addressV6: undefined })
  const { nodes, remarks } = planImport(networkOf(nodeOf(), outside), taken)
  assert.deepEqual(
    nodes.map(({ name, address }) => [name, address.v4]),
    [
      ['nas-1', '100.64.0.1'],
      ['other', '100.64.0.2'],
    ],
  )
  assert.match(remarks.join('\n'), /nas: is called nas-1 here/)
  assert.match(remarks.join('\n'), /other: gets 100\.64\.0\.2 in place of 10\.1\.2\.3/)
})

test('no name, address or machine twice, whatever comes', () => {
  const text = fc.oneof(fc.constantFrom('nas', 'NAS', 'a b', '', '--', 'ü'), fc.string({ maxLength: 80 }))
  const node = fc.record({
    name: text,
    hostname: text,
    last: fc.nat(5),
    tags: fc.array(fc.oneof(fc.constantFrom('tag:a', 'tag:B', 'x'), fc.string()), { maxLength: 3 }),
  })
  fc.assert(
    fc.property(fc.array(node, { maxLength: 12 }), (wanted) => {
      const all = wanted.map(({ last, ...more }) =>
        nodeOf({ ...more, addressV4: `100.64.0.${last}`, addressV6: undefined }),
      )
      const { nodes } = planImport(networkOf(...all), nothing)
      assert.equal(nodes.length, all.length)
      for (const of of [
        nodes.map(({ name }) => name),
        nodes.map(({ address }) => address.v4),
        nodes.map(({ address }) => address.v6),
      ])
        assert.equal(new Set(of).size, of.length)
      for (const { name, tags } of nodes) {
        assert.match(name, /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/)
        for (const tag of tags) assert.match(tag, /^tag:[a-z]/)
      }
    }),
  )
})

test('a file that is no such database is told in words', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-import-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'x')
  const isRefused = (code: string) => (error: unknown) => isCoded(error, code)
  assert.throws(() => readHeadscaleDatabase(file), isRefused('coord/not-found'))
  for (const content of ['', 'hello', 'SQLite format 3\u0000 and then nothing']) {
    writeFileSync(file, content)
    assert.throws(() => readHeadscaleDatabase(file), isRefused('coord/bad-argument'))
  }
})

test('rows that cannot be taken are named; the others come', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-import-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'db.sqlite')
  const database = new Database(file)
  database.exec(`CREATE TABLE users (id INTEGER, name TEXT, display_name TEXT, email TEXT, deleted_at TEXT);
    CREATE TABLE nodes (id INTEGER, machine_key TEXT, node_key TEXT, ipv4 TEXT, ipv6 TEXT, hostname TEXT, given_name TEXT,
      user_id INTEGER, forced_tags TEXT, approved_routes TEXT, expiry TEXT, deleted_at TEXT);
    INSERT INTO users VALUES (1, 'anna', NULL, 'a@x.org', NULL), (2, 'gone', NULL, NULL, '2025-01-01');`)
  const add = database.prepare('INSERT INTO nodes VALUES (?, ?, ?, ?, NULL, ?, ?, ?, ?, ?, ?, NULL)')
  const keys = () => [new MachinePublic(randomScalar()).text, new NodePublic(randomScalar()).text]
  add.run(1, ...keys(), '100.64.0.5', 'h1', 'one', 1, '["tag:x"]', '["192.168.0.0/24"]', '0001-01-01 00:00:00+00:00')
  add.run(2, 'mkey:zz', 'nodekey:zz', '100.64.0.6', 'h2', 'two', 1, 'null', '{', '2031-05-06 07:08:09.123+00:00')
  add.run(3, ...keys(), 'nonsense', 'h3', 'three', 2, null, null, null)
  add.run(4, ...keys(), 'nonsense', 'h4', 'four', 1, null, null, '2031-05-06 07:08:09.123+00:00')
  database.close()
  const { users, nodes, unread, policy } = readHeadscaleDatabase(file)
  assert.deepEqual(
    users.map(({ name, email }) => [name, email]),
    [['anna', 'a@x.org']],
  )
  assert.deepEqual(
    nodes.map(({ name, addressV4, tags, routes, expiresAtMs }) => [name, addressV4, tags, routes, expiresAtMs]),
    [
      ['one', '100.64.0.5', ['tag:x'], ['192.168.0.0/24'], undefined],
      ['four', undefined, [], [], Date.UTC(2031, 4, 6, 7, 8, 9, 123)],
    ],
  )
  assert.deepEqual(unread, ['two: its keys cannot be read', 'three: its user is not there'])
  assert.equal(policy, undefined)
})
