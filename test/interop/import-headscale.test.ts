// A network moves from a stock server to ours: what is carried over is read from the stock server's own database or asked by
// its API, and a stock client that joins here keeps its name and its addresses.

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { addressOf, systemPingUntil } from '../lab/mesh-node.ts'
import { movingOptions, newServer, oldNetwork } from './moving.ts'

const POLICY = `// Of the old server.
{"acls": [{"action": "accept", "src": ["anna@"], "dst": ["anna@:*", "ben@:*"]}]}`

test('a network moves over from a stock server, machine by machine', movingOptions, async (t) => {
  const { lab, old, a, b, before } = await oldNetwork(t, ['anna', 'ben'], POLICY)
  await old.cli('nodes', 'rename', '--identifier', '2', 'attic')
  await old.cli('nodes', 'tag', '--identifier', '2', '--tags', 'tag:attic')
  await old.cli('nodes', 'approve-routes', '--identifier', '1', '--routes', '192.168.7.0/24')
  const keyFile = join(lab.dir, 'api-key')
  writeFileSync(keyFile, `${await old.createApiKey()}\n`, { mode: 0o600 })

  const { coord, ask, moved, move } = await newServer(lab)
  const byApi = await ask('headscale', '--url', old.url, '--api-key-file', keyFile)
  writeFileSync(join(lab.dir, 'no-key'), 'tskey-nonsense')
  await assert.rejects(
    coord.cli('import', 'headscale', '--url', old.url, '--api-key-file', join(lab.dir, 'no-key')),
    /does not accept this API key/,
  )
  await old.stop()

  const database = join(lab.dir, 'headscale-old', 'db.sqlite')
  const look = await ask('headscale', database)
  assert.equal(look['applied'], false)
  assert.equal(JSON.parse(await coord.cli('nodes', 'list', '--json')).length, 0, 'a look changes nothing')
  // That server has its policy in a file of its own, which is in no database.
  assert.deepEqual(
    (look['nodes'] as readonly { tags: unknown; routes: unknown }[]).map(({ tags, routes }) => [tags, routes]),
    [
      [[], ['192.168.7.0/24']],
      [['tag:attic'], []],
    ],
  )
  const { policy, remarks, ...same } = byApi
  const { policy: noPolicy, remarks: told, ...byFile } = look
  assert.deepEqual([same, policy, noPolicy], [byFile, 'carried', 'none'])
  assert.deepEqual(remarks, [
    ...(told as string[]),
    'The API key went over the network unencrypted: end it there, with "headscale apikeys expire".',
  ])

  const done = await ask('headscale', database, '--apply')
  t.diagnostic(JSON.stringify(done))
  assert.deepEqual(done['users'], ['anna', 'ben'])
  const nodes = done['nodes'] as readonly { readonly name: string; readonly user: string; readonly address: string }[]
  assert.deepEqual(
    nodes.map(({ name, user }) => [name, user]),
    [
      ['stock-new', 'anna'],
      ['attic', 'ben'],
    ],
  )
  assert.deepEqual(
    nodes.map(({ address }) => address),
    before.map(([address]) => address),
  )
  const again = await ask('headscale', database, '--apply')
  assert.deepEqual([again['users'], again['nodes']], [[], []], 'the same again adds nobody')

  assert.deepEqual(await moved(), [
    ['stock-new', false],
    ['attic', false],
  ])

  // Any key of the same user is as good as one made for the machine, where no tags are on it.
  await move(a, await coord.createAuthKey('anna'))
  const { machines } = (await ask('rejoin', 'attic')) as { machines: readonly { key: string }[] }
  await move(b, machines[0]?.key ?? '')
  assert.deepEqual([await a.addresses(), await b.addresses()], before, 'both keep their addresses')
  assert.deepEqual(await moved(), [
    ['stock-new', true],
    ['attic', true],
  ])
  await systemPingUntil(a, await addressOf(b), 30_000)
  const names = JSON.parse(await coord.cli('nodes', 'list', '--json')) as readonly { readonly name: string }[]
  assert.deepEqual(names.map(({ name }) => name).toSorted(), ['attic', 'stock-new'])
})
