// Port mapping at a home router: a real one (miniupnpd), and one that means harm.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createLab, type Machine } from './lab.ts'
import { addressOf, pingUntil, systemPingUntil } from './mesh-node.ts'
import { labUnavailable, runOrSkip } from './netns.ts'
import { peerwayUnavailable, startAgent, startCoord, untilPath, type PeerwayAgent } from './peerway.ts'
import { portMappingUnavailable, startPortMapping } from './port-mapping.ts'
import { until } from './process.ts'

const unavailable = labUnavailable() ?? portMappingUnavailable()
const alone = runOrSkip(unavailable, 60_000)
const options = runOrSkip(unavailable ?? peerwayUnavailable(), 120_000)

const PORT = 41_641
const TSX = import.meta.resolve('tsx')
const DRIVER = fileURLToPath(new URL('port-mapper-driver.ts', import.meta.url))
/** Its traps, by path. */
const TRAPS = ['huge', 'slow', 'redirect', 'bomb']
const HOSTILE = fileURLToPath(new URL('hostile-router.mjs', import.meta.url))

/** The members of `peerway netcheck --json` that are looked at here. */
interface Netcheck {
  readonly UDP: boolean
  readonly UPnP: boolean | null
  readonly PMP: boolean | null
  readonly PCP: boolean | null
  readonly PortMapping: { readonly Endpoint: string; readonly Via: string; readonly Refusal: string }
  readonly Endpoints: readonly string[]
}

async function netcheck(agent: PeerwayAgent): Promise<Netcheck> {
  const result = await agent.cli('netcheck', '--json')
  assert.equal(result.status, 0, result.stderr)
  return JSON.parse(result.stdout) as Netcheck
}

function untilNetcheck(agent: PeerwayAgent, wanted: (found: Netcheck) => boolean, what: string): Promise<Netcheck> {
  let last: Netcheck | undefined
  return until(
    async () => {
      last = await netcheck(agent)
      return wanted(last) ? last : undefined
    },
    {
      timeoutMs: 15_000,
      what: `${agent.hostname} to find ${what}`,
      explain: () => `last: ${JSON.stringify(last)}\n${agent.log().slice(-3_000)}`,
    },
  )
}

/** Whether the router's kernel sends this outside port to the machine. */
const mapsTo = (rules: string, { address }: Machine, port = PORT): boolean =>
  new RegExp(`dport ${port} dnat ip to ${address.replaceAll('.', '\\.')}:${PORT}\\b`).test(rules)

for (const [via, igd1] of [
  ['pmp', false],
  ['pcp', false],
  ['upnp', false],
  ['upnp', true],
] as const) {
  const what = `a real router maps a port by ${via}${igd1 ? ' of its first version' : ''} and has it back`
  test(what, alone, async (t) => {
    const lab = await createLab({ sites: [{ nat: 'hard', clients: 2 }] })
    t.after(() => lab.close())
    const router = await startPortMapping(lab, 0, { igd1 })
    const [one, two] = [lab.client(0), lab.client(0, 1)]
    const driver = [process.execPath, '--import', TSX, DRIVER, via, String(PORT)]
    const first = one.ns.start(driver, { name: 'first' })
    await first.waitForOutput(new RegExp(`"endpoint":"${router.externalAddress}:${PORT}","via":"${via}"`))
    const second = two.ns.start(driver, { name: 'second' })
    const [, port] = await second.waitForOutput(new RegExp(`"endpoint":"${router.externalAddress}:(\\d+)"`))
    assert.notEqual(Number(port), PORT, 'the port of another machine is not taken from it')
    const rules = await router.rules()
    assert.ok(mapsTo(rules, one) && mapsTo(rules, two, Number(port)), rules)

    await Promise.all([first.stop(), second.stop()])
    assert.deepEqual([await first.exited, await second.exited], [0, 0])
    assert.ok(!(await router.rules()).includes('dport'), await router.rules())
  })
}

test('agents behind routers that map ports are reached through the mapping', options, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'hard' }, { nat: 'easy' }, { nat: 'hard' }] })
  t.after(() => lab.close())
  const routers = [await startPortMapping(lab, 0), await startPortMapping(lab, 1, { pmp: false, igd1: true })] as const
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const started = [0, 1, 2].map((site) => startAgent(lab, lab.client(site), { hostname: `agent-${site}` }))
  const [mapped, upnp, hard] = await Promise.all([started[0], started[1], started[2]])
  assert.ok(mapped && upnp && hard)
  for (const agent of [mapped, upnp, hard])
    await agent.up({ loginServer: coord.url, authKey: await coord.createAuthKey('anna') })

  // Which of the two it is depends on whose answer to the probe comes first: on a busy machine either may.
  await t.test('by NAT-PMP or PCP where the router speaks them, and all that it speaks is told', async () => {
    const found = await untilNetcheck(mapped, ({ PortMapping, UPnP }) => PortMapping.Via !== '' && UPnP === true, 'all')
    const endpoint = `${routers[0].externalAddress}:${PORT}`
    const { Via: via } = found.PortMapping
    assert.ok(via === 'pmp' || via === 'pcp', via)
    assert.deepEqual(found.PortMapping, { Endpoint: endpoint, Via: via, Refusal: '' })
    assert.deepEqual([found.UPnP, found.PMP, found.PCP], [true, true, true])
    assert.equal(found.Endpoints[0], endpoint)
    assert.ok(mapsTo(await routers[0].rules(), mapped.machine))
    const text = await mapped.cli('netcheck')
    assert.match(text.stdout, /Port mapping +20\.77\.1\.1:41641 by (NAT-PMP|PCP) \(router offers UPnP, NAT-PMP, PCP\)/)
  })

  await t.test('by UPnP where it speaks only that', async () => {
    const found = await untilNetcheck(upnp, ({ PortMapping }) => PortMapping.Via !== '', 'a mapping')
    const endpoint = `${routers[1].externalAddress}:${PORT}`
    assert.deepEqual(found.PortMapping, { Endpoint: endpoint, Via: 'upnp', Refusal: '' })
    assert.deepEqual([found.UPnP, found.PMP, found.PCP], [true, false, false])
    assert.ok(mapsTo(await routers[1].rules(), upnp.machine))
  })

  await t.test('where the router maps nothing, that is told', async () => {
    const { UPnP, PMP, PCP, PortMapping } = await untilNetcheck(hard, ({ UPnP: known }) => known !== null, 'nothing')
    assert.deepEqual([UPnP, PMP, PCP, PortMapping.Endpoint], [false, false, false, ''])
  })

  await t.test('two hard NATs, one of them with a mapping, are no obstacle', async () => {
    await pingUntil(hard, mapped, 'direct', 15_000)
    const { Path } = await untilPath(hard, 'agent-0', 'direct', 5_000)
    // The router sends what comes from the mapped port out by it too, from its other address.
    const outside = [routers[0].externalAddress, lab.site(0).router.wanAddress].map((address) => `${address}:${PORT}`)
    assert.ok(outside.includes(Path.via ?? ''), Path.via ?? 'no path')
    await systemPingUntil(hard, await addressOf(mapped), 5_000)
    await pingUntil(hard, upnp, 'direct', 15_000)
  })

  await t.test('routers that were switched off and on map again', async () => {
    await Promise.all(routers.map((router) => router.restart()))
    // The first announces itself; that the other is new is noticed at the next look, each half minute.
    for (const [router, agent, timeoutMs] of [
      [routers[0], mapped, 10_000] as const,
      [routers[1], upnp, 35_000] as const,
    ])
      await until(async () => mapsTo(await router.rules(), agent.machine), {
        timeoutMs,
        what: `the mapping of ${agent.hostname} to be made anew`,
        explain: () => agent.log().slice(-3_000),
      })
    await pingUntil(hard, mapped, 'direct', 15_000)
  })

  await t.test('an agent that ends gives its mapping back', async () => {
    await Promise.all([mapped.stop(), upnp.stop()])
    for (const router of routers) assert.ok(!(await router.rules()).includes('dport'), await router.rules())
  })
})

test('a port that someone forwarded by hand is found behind a hard NAT', options, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'hard' }, { nat: 'hard' }] })
  t.after(() => lab.close())
  const { address, secondAddress } = lab.coord
  const coord = await startCoord(lab, lab.coord, ['--stun', `${address}:3478,${secondAddress}:3478`])
  await coord.createUser('anna')
  const { router } = lab.site(0)
  await router.ns.nft(
    `table ip forwarded { chain in { type nat hook prerouting priority -100; iifname "eth0" udp dport ${PORT} dnat to ${lab.client(0).address}; }; }`,
  )
  const started = [0, 1].map((site) => startAgent(lab, lab.client(site), { hostname: `agent-${site}` }))
  const [forwarded, other] = await Promise.all([started[0], started[1]])
  assert.ok(forwarded && other)
  for (const agent of [forwarded, other])
    await agent.up({ loginServer: coord.url, authKey: await coord.createAuthKey('anna') })
  const endpoint = `${router.wanAddress}:${PORT}`
  await untilNetcheck(forwarded, ({ Endpoints }) => Endpoints.includes(endpoint), endpoint)
  await pingUntil(other, forwarded, 'direct', 15_000)
  assert.equal((await untilPath(other, 'agent-0', 'direct', 5_000)).Path.via, endpoint)
})

test('a router that means harm neither hangs nor feeds the agent', options, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'easy' }], hosts: ['elsewhere'] })
  t.after(() => lab.close())
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const { router } = lab.site(0)
  const elsewhere = lab.host('elsewhere')
  const wan = await lab.capture(`host ${elsewhere.address}`)
  const command = [process.execPath, HOSTILE, '192.168.11.1', `http://${elsewhere.address}/`]
  const hostile = router.ns.start(command, { name: 'hostile' })
  await hostile.waitForOutput(/http ready/)

  const agent = await startAgent(lab, lab.client(0), { hostname: 'agent', env: { PEERWAY_LOG: 'info' } })
  const before = residentBytes(agent)
  await agent.up({ loginServer: coord.url, authKey: await coord.createAuthKey('anna') })
  for (const what of [
    'asked by version 0',
    'asked by version 2',
    'searched for',
    ...TRAPS.map((mode) => `fetched ${mode}`),
  ])
    await hostile.waitForOutput(new RegExp(what), 10_000)
  const found = await untilNetcheck(agent, ({ PortMapping }) => PortMapping.Refusal !== '', 'the refusal')
  assert.equal(found.PortMapping.Endpoint, '')

  const began = performance.now()
  await agent.status()
  assert.ok(performance.now() - began < 3_000, 'it answers as ever')
  const grown = residentBytes(agent) - before
  t.diagnostic(`memory grew by ${(grown / 1e6).toFixed(1)} MB, joining included`)
  assert.ok(grown < 80e6, `memory grew by ${(grown / 1e6).toFixed(1)} MB`)
  assert.ok(!/ length /.test(wan.stdout) && !wan.stdout.includes(elsewhere.address), 'it followed the router elsewhere')

  const stopping = performance.now()
  await agent.stop()
  assert.ok(performance.now() - stopping < 4_000, 'it ends as ever')
})

function residentBytes(agent: PeerwayAgent): number {
  const status = readFileSync(`/proc/${agent.process.pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024
}
