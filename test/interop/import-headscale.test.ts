// A network moves from a stock server to ours: what is carried over is read from the stock server's own database, and a stock
// client that joins here keeps its name and its addresses.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { createLab } from '../lab/lab.ts'
import { addressOf, systemPingUntil } from '../lab/mesh-node.ts'
import { labUnavailable, runOrSkip } from '../lab/netns.ts'
import { peerwayUnavailable, startCoord } from '../lab/peerway.ts'
import { stockUnavailable } from '../stock/binaries.ts'
import { startDerper } from '../stock/derper.ts'
import { startHeadscale } from '../stock/headscale.ts'
import { startTailscaled } from '../stock/tailscaled.ts'

const options = runOrSkip(
  labUnavailable() ?? peerwayUnavailable() ?? stockUnavailable('headscale', 'tailscale-new', 'tailscale-old'),
  240_000,
)

const POLICY = `// Of the old server.
{"acls": [{"action": "accept", "src": ["anna@"], "dst": ["anna@:*", "ben@:*"]}]}`

test('a network moves over from a stock server, machine by machine', options, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'open' }, { nat: 'open' }], hosts: ['old', 'derp'] })
  t.after(() => lab.close())
  const derper = await startDerper(lab, lab.host('derp'))
  const old = await startHeadscale(lab, lab.host('old'), { derpMap: derper.derpMap, policy: POLICY })
  const [anna, ben] = [await old.createUser('anna'), await old.createUser('ben')]
  const a = await startTailscaled(lab, lab.client(0), { version: 'new', hostname: 'stock-new' })
  const b = await startTailscaled(lab, lab.client(1), { version: 'old', hostname: 'stock-old' })
  await a.up({ loginServer: old.url, authKey: await old.createAuthKey(anna) })
  await b.up({ loginServer: old.url, authKey: await old.createAuthKey(ben) })
  const before = [await a.addresses(), await b.addresses()]
  await old.cli('nodes', 'rename', '--identifier', '2', 'attic')
  await old.stop()

  const coord = await startCoord(lab, lab.coord)
  const database = join(lab.dir, 'headscale-old', 'db.sqlite')
  const ask = async (...args: string[]): Promise<Record<string, unknown>> =>
    JSON.parse(await coord.cli('import', ...args, '--json')) as Record<string, unknown>
  const look = await ask('headscale', database)
  assert.equal(look['applied'], false)
  assert.equal(JSON.parse(await coord.cli('nodes', 'list', '--json')).length, 0, 'a look changes nothing')

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

  const moved = async (): Promise<unknown> =>
    ((await ask('status'))['moves'] as readonly { node: string; moved: boolean }[]).map(({ node, moved }) => [
      node,
      moved,
    ])
  assert.deepEqual(await moved(), [
    ['stock-new', false],
    ['attic', false],
  ])

  for (const [client, user] of [
    [a, 'anna'],
    [b, 'ben'],
  ] as const) {
    const key = await coord.createAuthKey(user)
    const up = await client.cli(
      'up',
      `--login-server=${coord.url}`,
      `--auth-key=${key}`,
      `--hostname=${client.hostname}`,
      '--accept-dns=false',
      '--force-reauth',
      '--reset',
      '--accept-risk=all',
      '--timeout=30s',
    )
    assert.equal(up.status, 0, up.stderr)
  }
  assert.deepEqual([await a.addresses(), await b.addresses()], before, 'both keep their addresses')
  assert.deepEqual(await moved(), [
    ['stock-new', true],
    ['attic', true],
  ])
  await systemPingUntil(a, await addressOf(b), 30_000)
  const names = JSON.parse(await coord.cli('nodes', 'list', '--json')) as readonly { readonly name: string }[]
  assert.deepEqual(names.map(({ name }) => name).toSorted(), ['attic', 'stock-new'])
})
