// Stock clients and our agent obey a policy that changes while they are connected.

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createLab } from '../lab/lab.ts'
import { addressOf, type MeshNode, systemPingUntil } from '../lab/mesh-node.ts'
import { runOrSkip } from '../lab/netns.ts'
import { startAgent, startCoord } from '../lab/peerway.ts'
import { until } from '../lab/process.ts'
import { startTailscaled } from '../stock/tailscaled.ts'
import { mixedUnavailable } from './mixed-tailnet.ts'

const options = runOrSkip(mixedUnavailable(), 240_000)
const PORTS = [8_080, 8_081] as const
/** A change reaches connected clients within about a second; the rest is for a busy machine. */
const ARRIVE_MS = 20_000

const SERVE = `for (const port of [${PORTS.join()}]) require('net').createServer((s) => s.end('ok')).listen(port, '0.0.0.0')`
const CONNECT = `const s = require('net').connect(+process.argv[2], process.argv[1])
s.setTimeout(2000, () => process.exit(1)).on('error', () => process.exit(1)).on('data', () => process.exit(0))`

/** Which of the ports answer, as in "8080,8081". */
async function openPorts(from: MeshNode, to: string): Promise<string> {
  const open = await Promise.all(
    PORTS.map(async (port) => {
      const { status } = await from.machine.ns.tryRun([process.execPath, '-e', CONNECT, to, String(port)])
      return status === 0 ? [port] : []
    }),
  )
  return open.flat().join()
}

const ONE_PORT_FOR_ANNA = `{
  "tagOwners": {"tag:server": ["anna@"]},
  "acls": [{"action": "accept", "src": ["anna@"], "dst": ["tag:server:${PORTS[0]}"]}],
  "tests": [{"src": "anna@", "accept": ["tag:server:${PORTS[0]}"], "deny": ["tag:server:${PORTS[1]}"]}],
}`

test('clients of others and our agent obey a policy that changes while they are connected', options, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'easy' }, { nat: 'easy' }, { nat: 'easy' }, { nat: 'easy' }] })
  t.after(() => lab.close())
  const coord = await startCoord(lab, lab.coord)
  for (const user of ['anna', 'ben']) await coord.createUser(user)
  const annas = await startTailscaled(lab, lab.client(0), { version: 'new', hostname: 'annas' })
  const bens = await startTailscaled(lab, lab.client(1), { version: 'old', hostname: 'bens' })
  const ours = await startAgent(lab, lab.client(2), { hostname: 'ours' })
  const stock = await startTailscaled(lab, lab.client(3), { version: 'new', hostname: 'stock' })
  const key = async (user: string, ...more: readonly string[]): Promise<string> =>
    (JSON.parse(await coord.cli('auth-keys', 'create', '--user', user, '--json', ...more)) as { key: string }).key
  await annas.up({ loginServer: coord.url, authKey: await key('anna') })
  await bens.up({ loginServer: coord.url, authKey: await key('ben') })
  const servers = [ours, stock] as const
  for (const server of servers) {
    await server.up({ loginServer: coord.url, authKey: await key('anna', '--tags', 'tag:server') })
    server.machine.ns.start([process.execPath, '-e', SERVE], { name: `serve-${server.hostname}` })
  }
  const addresses = await Promise.all(servers.map(addressOf))
  const both = PORTS.join()
  const untilOpen = (from: MeshNode, wanted: string): Promise<unknown> =>
    until(
      async () => (await Promise.all(addresses.map((to) => openPorts(from, to)))).every((open) => open === wanted),
      {
        timeoutMs: ARRIVE_MS,
        what: `${from.hostname} to reach "${wanted}" of the servers`,
      },
    )

  for (const from of [annas, bens]) {
    for (const to of addresses) await systemPingUntil(from, to, ARRIVE_MS)
    await untilOpen(from, both)
  }

  const file = join(lab.dir, 'policy.hujson')
  const set = (text: string): Promise<string> => {
    writeFileSync(file, text)
    return coord.cli('policy', 'set', file)
  }
  await t.test('one port for one person: others are closed, and who has no business there sees nothing', async () => {
    await set(ONE_PORT_FOR_ANNA)
    await untilOpen(annas, String(PORTS[0]))
    await untilOpen(bens, '')
    for (const server of servers) {
      await until(
        async () => (await bens.peer(server.hostname)) === undefined && (await server.peer('bens')) === undefined,
        {
          timeoutMs: ARRIVE_MS,
          what: `bens and ${server.hostname} to see each other no more`,
        },
      )
      assert.ok(await annas.peer(server.hostname))
      assert.ok(await server.peer('annas'))
    }
  })

  await t.test('back to the policy before: everything is open again', async () => {
    await set(await coord.cli('policy', 'get', '--revision', '0'))
    for (const from of [annas, bens]) await untilOpen(from, both)
  })
})
