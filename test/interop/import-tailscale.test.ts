// A network moves to ours with what the hosted service gives out about it: stock clients come by the keys made for them, and
// are who they were. A stock server stands in for the service; the files are written as the service writes them.

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { addressOf, systemPingUntil } from '../lab/mesh-node.ts'
import { movingOptions, newServer, oldNetwork } from './moving.ts'

const POLICY = `{
  "tagOwners": {"tag:attic": ["anna@corp.example"]},
  "postures": {"posture:new": ["node:tsVersion >= '1.40'"]},
  "acls": [
    {"action": "accept", "src": ["anna@corp.example"], "dst": ["*:*"]}, // and nobody else
    {"action": "accept", "src": ["*"], "srcPosture": ["posture:new"], "dst": ["*:*"]},
  ],
}
`

interface Row {
  readonly given_name: string
  readonly machine_key: string
  readonly node_key: string
}

test('stock clients of a network of the hosted service join here as who they were', movingOptions, async (t) => {
  const { lab, old, a, b, before } = await oldNetwork(t, ['anna'])
  const rows = (await old.cli('nodes', 'list')) as readonly Row[]
  await old.stop()

  const keysOf = (name: string): Row | undefined => rows.find(({ given_name }) => given_name === name)
  const device = { user: 'anna@corp.example', authorized: true, isExternal: false, enabledRoutes: [] }
  const devices = [
    {
      ...device,
      name: 'desk.tail8c2f1.ts.net',
      hostname: 'stock-new',
      addresses: before[0],
      machineKey: keysOf('stock-new')?.machine_key,
      nodeKey: keysOf('stock-new')?.node_key,
    },
    // A short list has no machine keys.
    { ...device, name: 'attic.tail8c2f1.ts.net', hostname: 'stock-old', addresses: before[1], tags: ['tag:attic'] },
  ]
  const [policyFile, devicesFile] = [join(lab.dir, 'policy.hujson'), join(lab.dir, 'devices.json')]
  writeFileSync(policyFile, POLICY)
  writeFileSync(devicesFile, JSON.stringify({ devices }))

  const { coord, ask, moved, move } = await newServer(lab)
  const files = ['--policy', policyFile, '--devices', devicesFile]
  assert.equal((await ask('tailscale', ...files))['applied'], false)
  const done = await ask('tailscale', ...files, '--apply')
  t.diagnostic(JSON.stringify(done))
  assert.deepEqual([done['policy'], done['users']], ['carried', ['anna']])
  assert.match(String(done['remarks']), /line 6, .*"srcPosture".*Left out/)

  const { machines } = (await ask('rejoin')) as { machines: readonly { node: string; key: string }[] }
  for (const [client, name] of [
    [a, 'desk'],
    [b, 'attic'],
  ] as const) {
    await move(client, machines.find(({ node }) => node === name)?.key ?? '')
  }
  assert.deepEqual([await a.addresses(), await b.addresses()], before, 'both keep their addresses')
  assert.deepEqual(await moved(), [
    ['desk', true],
    ['attic', true],
  ])
  await systemPingUntil(a, await addressOf(b), 30_000)
  const nodes = JSON.parse(await coord.cli('nodes', 'list', '--json')) as readonly { name: string; tags: string[] }[]
  assert.deepEqual(
    nodes.map(({ name, tags }) => [name, tags]),
    [
      ['desk', []],
      ['attic', ['tag:attic']],
    ],
  )
})
