// Ours and clients of others resolve names as our server tells them: nodes, records, domains with servers of their own, and
// the rest.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createLab } from '../lab/lab.ts'
import { addressOf } from '../lab/mesh-node.ts'
import { labUnavailable, runOrSkip, type Namespace } from '../lab/netns.ts'
import { PeerwayAgent, peerwayUnavailable, startAgent, startCoord } from '../lab/peerway.ts'
import { until, type LabProcess } from '../lab/process.ts'
import { stockUnavailable } from '../stock/binaries.ts'
import { startTailscaled, type Tailscaled } from '../stock/tailscaled.ts'

const unavailable = labUnavailable() ?? peerwayUnavailable() ?? stockUnavailable('tailscale-new', 'tailscale-old')
const options = runOrSkip(unavailable, 240_000)
const SERVER = fileURLToPath(new URL('../lab/dns-server.mjs', import.meta.url))
const ARRIVE_MS = 20_000
const DOMAIN = 'home.peerway.internal'

async function startServer(ns: Namespace, address: string, names: Record<string, string>): Promise<LabProcess> {
  const server = ns.start([process.execPath, SERVER, address, JSON.stringify(names)], { name: `dns-${address}` })
  await server.waitForOutput(/listening/)
  return server
}

/**
 * As any program of the machine finds it. The new version is built without the part that answers programs, so there its own
 * command is asked, which goes through the same resolver.
 */
async function lookUp(node: Tailscaled | PeerwayAgent, name: string): Promise<string | undefined> {
  if (node instanceof PeerwayAgent || node.version === 'old') {
    const { status, stdout } = await node.machine.ns.tryRun(['getent', 'ahostsv4', name], { timeoutMs: 30_000 })
    return status === 0 ? stdout.split(/\s/)[0] : undefined
  }
  const { stdout } = await node.cli('dns', 'query', name, 'A')
  return /TypeA\s+(\d+\.\d+\.\d+\.\d+)/.exec(stdout)?.[1]
}

async function untilFound(node: Tailscaled | PeerwayAgent, name: string, wanted: string | undefined): Promise<void> {
  let last: string | undefined
  await until(async () => (last = await lookUp(node, name)) === wanted, {
    timeoutMs: ARRIVE_MS,
    everyMs: 200,
    what: `${node.hostname} to find ${name} at ${wanted ?? 'no address'}`,
    explain: async () =>
      [
        `last: ${last ?? 'none'}`,
        (await node.machine.ns.tryRun(['cat', '/etc/resolv.conf'])).stdout,
        node.log().slice(-3_000),
      ].join('\n'),
  })
}

test('names are found as the server tells', options, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'easy' }, { nat: 'easy' }, { nat: 'easy' }], hosts: ['names'] })
  t.after(() => lab.close())
  const names = lab.host('names')
  const global = await startServer(names.ns, names.address, { 'www.public.test': '203.0.113.5' })
  const corp = await startServer(names.ns, names.secondAddress, { 'wiki.corp.example': '10.1.2.3' })
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const stock = [
    await startTailscaled(lab, lab.client(0), { version: 'new', hostname: 'stock-new' }),
    await startTailscaled(lab, lab.client(1), { version: 'old', hostname: 'stock-old' }),
  ] as const
  const ours = await startAgent(lab, lab.client(2), { hostname: 'ours' })
  const nodes = [...stock, ours] as const
  const itsFile = async (): Promise<string> => ours.machine.ns.run(['cat', '/etc/resolv.conf'])
  const before = await itsFile()
  await ours.up({ loginServer: coord.url, authKey: await coord.createAuthKey('anna') })
  for (const node of stock) {
    await node.up({ loginServer: coord.url, authKey: await coord.createAuthKey('anna') })
    const set = await node.cli('set', '--accept-dns=true')
    assert.equal(set.status, 0, set.stderr)
  }

  await t.test('nodes by their names, short and whole', async () => {
    for (const node of nodes) await untilFound(node, `stock-old.${DOMAIN}`, await addressOf(nodes[1]))
    for (const node of [stock[1], ours]) await untilFound(node, 'stock-new', await addressOf(nodes[0]))
    for (const node of nodes) await untilFound(node, `ours.${DOMAIN}`, await addressOf(ours))
    const reverse = await ours.machine.ns.tryRun(['getent', 'hosts', await addressOf(stock[0])])
    assert.match(reverse.stdout, new RegExp(`stock-new.${DOMAIN}`))
  })

  await t.test('our own command says who is asked, and asks', async () => {
    const status = await ours.cli('dns', 'status')
    assert.match(status.stdout, new RegExp(`${DOMAIN.replaceAll('.', '\\.')} +here \\(3 names\\)`))
    const { status: code, stdout } = await ours.cli('dns', 'query', 'stock-old')
    assert.deepEqual([code, stdout.trim()], [0, await addressOf(stock[1])])
    const unknown = await ours.cli('dns', 'query', `nobody.${DOMAIN}`)
    assert.deepEqual([unknown.status, unknown.stderr.includes('[dns/no-such-name]')], [1, true])
  })

  await t.test('others by the global servers', async () => {
    await coord.cli('dns', 'set', '--nameservers', names.address, '--override-local', 'on')
    for (const node of nodes) await untilFound(node, 'www.public.test', '203.0.113.5')
    assert.match(global.stdout, /asked www\.public\.test/)
  })

  await t.test('a domain by servers of its own, which alone are asked', async () => {
    await coord.cli('dns', 'split', 'corp.example', names.secondAddress)
    for (const node of nodes) await untilFound(node, 'wiki.corp.example', '10.1.2.3')
    const before = global.stdout.length
    for (const node of nodes) assert.equal(await lookUp(node, 'nothing.corp.example'), undefined)
    assert.doesNotMatch(global.stdout.slice(before), /corp\.example/)
    assert.match(corp.stdout, /asked nothing\.corp\.example/)
  })

  await t.test('short names by a search domain', async () => {
    await coord.cli('dns', 'set', '--search', 'corp.example')
    for (const node of [stock[1], ours]) await untilFound(node, 'wiki', '10.1.2.3')
  })

  await t.test('records, until they are taken away', async () => {
    await coord.cli('dns', 'records', 'add', `printer.${DOMAIN}`, '192.168.9.9')
    for (const node of nodes) await untilFound(node, `printer.${DOMAIN}`, '192.168.9.9')
    await coord.cli('dns', 'records', 'remove', `printer.${DOMAIN}`)
    for (const node of nodes) await untilFound(node, `printer.${DOMAIN}`, undefined)
  })

  await t.test('what cannot work is refused and changes nothing', async () => {
    await assert.rejects(coord.cli('dns', 'set', '--nameservers', ''), /have to be named/)
    for (const node of nodes) await untilFound(node, 'www.public.test', '203.0.113.5')
  })

  await t.test('our machine finds names as before when it is told so, when it leaves, and after a crash', async () => {
    assert.match(await itsFile(), /^nameserver 100\.100\.100\.100$/m)
    for (const [off, on] of [
      [
        ['set', '--accept-dns=false'],
        ['set', '--accept-dns'],
      ],
      [['down'], ['up', '--timeout', '30s']],
    ] as const) {
      assert.equal((await ours.cli(...off)).status, 0)
      assert.equal(await itsFile(), before)
      assert.equal((await ours.cli(...on)).status, 0)
      await untilFound(ours, 'www.public.test', '203.0.113.5')
    }
    ours.process.killNow()
    await ours.process.exited
    assert.match(await itsFile(), /^nameserver 100\.100\.100\.100$/m)
    const next = await startAgent(lab, lab.client(2), { hostname: 'ours' })
    await untilFound(next, 'www.public.test', '203.0.113.5')
    await next.stop()
    assert.equal(await itsFile(), before)
  })
})
