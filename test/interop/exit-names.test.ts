// While an exit node is in use names are looked up there, by ours and by clients of others, with ours and theirs at the other end:
// the name server beside the machine hears of nothing.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createLab } from '../lab/lab.ts'
import { labUnavailable, runOrSkip } from '../lab/netns.ts'
import { type PeerwayAgent, peerwayUnavailable, startAgent, startCoord } from '../lab/peerway.ts'
import { until } from '../lab/process.ts'
import { stockUnavailable } from '../stock/binaries.ts'
import { startTailscaled, type Tailscaled } from '../stock/tailscaled.ts'

const unavailable = labUnavailable() ?? peerwayUnavailable() ?? stockUnavailable('tailscale-old')
const options = runOrSkip(unavailable, 180_000)
const SERVER = fileURLToPath(new URL('../lab/dns-server.mjs', import.meta.url))
const ARRIVE_MS = 20_000
const DOMAIN = 'home.peerway.internal'
/** What the name server beside the exit nodes says, and what the one beside their users would. */
const [THERE, HERE] = ['203.0.113.5', '203.0.113.66']

async function lookUp(node: Tailscaled | PeerwayAgent, name: string): Promise<string | undefined> {
  const { status, stdout } = await node.machine.ns.tryRun(['getent', 'ahostsv4', name], { timeoutMs: 30_000 })
  return status === 0 ? stdout.split(/\s/)[0] : undefined
}

async function untilFound(node: Tailscaled | PeerwayAgent, name: string, wanted: string): Promise<void> {
  let last: string | undefined
  await until(async () => (last = await lookUp(node, name)) === wanted, {
    timeoutMs: ARRIVE_MS,
    everyMs: 300,
    what: `${node.hostname} to find ${name} at ${wanted}`,
    explain: () => `last: ${last ?? 'none'}\n${node.log().slice(-4_000)}`,
  })
}

test('names are looked up by the exit node in use', options, async (t) => {
  const lab = await createLab({
    sites: [{ nat: 'easy' }, { nat: 'easy' }, { nat: 'easy' }, { nat: 'easy' }],
    hosts: ['names'],
  })
  t.after(() => lab.close())
  const names = lab.host('names')
  const serve = async (address: string, www: string) => {
    const table = { 'www.public.test': www, 'again.public.test': www, 'third.public.test': www }
    const server = names.ns.start([process.execPath, SERVER, address, JSON.stringify(table)], {
      name: `dns-${address}`,
    })
    await server.waitForOutput(/listening/)
    return server
  }
  await serve(names.address, THERE)
  const beside = await serve(names.secondAddress, HERE)
  for (const [index, server] of [names.address, names.address, names.secondAddress, names.secondAddress].entries())
    lab.client(index).ns.setResolver(server)
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const key = (): Promise<string> => coord.createAuthKey('anna')
  const loginServer = coord.url
  const oursExit = await startAgent(lab, lab.client(0), { hostname: 'ours-exit' })
  const stockExit = await startTailscaled(lab, lab.client(1), { version: 'old', hostname: 'stock-exit' })
  let ours = await startAgent(lab, lab.client(2), { hostname: 'ours' })
  const stock = await startTailscaled(lab, lab.client(3), { version: 'old', hostname: 'stock' })
  await stockExit.machine.ns.sysctl({ 'net/ipv4/ip_forward': 1 })
  await oursExit.up({ loginServer, authKey: await key(), more: ['--advertise-exit-node'] })
  await stockExit.up({ loginServer, authKey: await key(), more: ['--advertise-exit-node'] })
  for (const exit of ['ours-exit', 'stock-exit']) await coord.cli('routes', 'approve', exit, 'exit')
  await ours.up({ loginServer, authKey: await key() })
  await stock.up({ loginServer, authKey: await key() })
  assert.equal((await stock.cli('set', '--accept-dns=true')).status, 0)
  const use = async (node: Tailscaled | PeerwayAgent, exit: string): Promise<void> =>
    void (await until(async () => (await node.cli('set', `--exit-node=${exit}`)).status === 0, {
      timeoutMs: ARRIVE_MS,
      what: `${exit} to be offered`,
    }))

  await t.test('ours and others ask the name server beside them without one', async () => {
    for (const node of [ours, stock]) await untilFound(node, 'www.public.test', HERE)
  })

  const saidBefore = (): number => beside.stdout.length
  for (const [who, exit] of [
    ['ours', 'stock-exit'],
    ['ours', 'ours-exit'],
    ['stock', 'ours-exit'],
  ] as const)
    await t.test(`${who} through ${exit}`, async () => {
      const node = who === 'ours' ? ours : stock
      await use(node, exit)
      await untilFound(node, 'again.public.test', THERE)
      const before = saidBefore()
      assert.equal(await lookUp(node, 'third.public.test'), THERE)
      assert.equal(await lookUp(node, 'nowhere.public.test'), undefined)
      assert.equal(beside.stdout.slice(before), '', 'nobody beside the machine is asked')
      await untilFound(node, `stock-exit.${DOMAIN}`, (await stockExit.addresses())[0] ?? '')
    })

  await t.test('our command says who is asked', async () => {
    const { stdout } = await ours.cli('dns', 'status')
    assert.match(stdout, /everything else +http:\/\/100\.\S+\/dns-query/)
  })

  await t.test('after a start the way around is there with the way in', async () => {
    await ours.stop()
    ours = await startAgent(lab, lab.client(2), { hostname: 'ours' })
    await ours.untilState('Running', ARRIVE_MS)
    const table = await ours.machine.ns.run(['ip', '-4', 'route', 'show', 'table', '7152'])
    assert.match(table, /^default dev peerway0/m)
    assert.match(table, new RegExp(`^throw ${names.secondAddress.replaceAll('.', '\\.')}`, 'm'))
    await untilFound(ours, 'third.public.test', THERE)
  })

  await t.test('an exit node that is no longer one has nobody asked, and without one all is as before', async () => {
    await oursExit.cli('set', '--advertise-exit-node=false')
    await until(async () => (await lookUp(ours, 'www.public.test')) === undefined, {
      timeoutMs: ARRIVE_MS,
      what: 'names to be found no more',
    })
    await ours.cli('set', '--exit-node=')
    await untilFound(ours, 'www.public.test', HERE)
  })
})
