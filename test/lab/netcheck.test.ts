// What `peerway netcheck` says of a network, as the network changes for the worse.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLab } from './lab.ts'
import { labUnavailable, runOrSkip } from './netns.ts'
import { type PeerwayAgent, peerwayUnavailable, startAgent, startCoord } from './peerway.ts'
import { until } from './process.ts'

const options = runOrSkip(labUnavailable() ?? peerwayUnavailable(), 120_000)

const PORTAL_PORT = 8_090
/** A portal in one line: whatever is asked, go and sign in. */
const PORTAL = `require('http').createServer((q, s) => s.writeHead(302, { Location: 'http://portal.example/login' }).end()).listen(${PORTAL_PORT}, () => console.log('ready'))`

async function endpointsOf(agent: PeerwayAgent): Promise<readonly string[]> {
  const status = JSON.parse((await agent.cli('status', '--json')).stdout) as { Self: { Addrs: readonly string[] } }
  return status.Self.Addrs
}

test('netcheck tells an open network, one without UDP, and one behind a sign-in page', options, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'easy' }] })
  t.after(() => lab.close())
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const machine = lab.client(0)
  const agent = await startAgent(lab, machine, { hostname: 'agent' })
  await agent.up({ loginServer: coord.url, authKey: await coord.createAuthKey('anna') })
  const { router } = lab.site(0)
  let addresses = 0
  /** Another address makes the agent look anew within some seconds. */
  const changeLink = () => machine.ns.ip(`addr add 192.168.200.${(addresses += 1)}/32 dev eth0`)
  const untilFound = async (wanted: Readonly<Record<string, unknown>>): Promise<Record<string, unknown>> => {
    let last: Record<string, unknown> = {}
    return until(
      async () => {
        last = JSON.parse((await agent.cli('netcheck', '--json')).stdout) as Record<string, unknown>
        return Object.entries(wanted).every(([name, value]) => last[name] === value) ? last : undefined
      },
      { timeoutMs: 25_000, what: JSON.stringify(wanted), explain: () => JSON.stringify(last) },
    )
  }

  await t.test('open', async () => {
    const found = await untilFound({ UDP: true, IPv4: true, PreferredDERP: 900 })
    assert.equal(found['GlobalV4'], `${router.wanAddress}:41641`)
    assert.equal(found['CaptivePortal'], null)
    const latencies = found['RegionLatency'] as Record<string, number>
    assert.ok((latencies['900'] ?? 0) > 1_000 && (latencies['900'] ?? 0) < 1e9, 'nanoseconds')
    assert.match((await agent.cli('netcheck')).stdout, /^UDP +works$/m)
  })

  await t.test('a new address is offered within a second', async () => {
    await changeLink()
    const began = performance.now()
    const offered = `192.168.200.${addresses}:41641`
    await until(async () => (await endpointsOf(agent)).includes(offered), {
      timeoutMs: 10_000,
      everyMs: 20,
      what: `${offered} to be offered`,
      explain: () => agent.log().slice(-3_000),
    })
    const ms = performance.now() - began
    t.diagnostic(`offered after ${ms.toFixed(0)} ms, asking included`)
    assert.ok(ms < 2_000, `it took ${ms.toFixed(0)} ms`)
  })

  await t.test('without UDP, the DERP latency is measured over HTTPS', async () => {
    await lab.blockUdp()
    await changeLink()
    const found = await untilFound({ UDP: false, CaptivePortal: false, PreferredDERP: 900 })
    assert.deepEqual(Object.keys(found['RegionLatency'] as object), ['900'])
    assert.deepEqual(found['RegionV4Latency'], {})
  })

  await t.test('behind a sign-in page', async () => {
    const portal = router.ns.start([process.execPath, '-e', PORTAL], { name: 'portal' })
    await portal.waitForOutput(/ready/)
    const toPortal = `tcp dport { 80, 8480 } redirect to :${PORTAL_PORT}`
    await router.ns.nft(
      `table ip portal { chain in { type nat hook prerouting priority -100; iifname "lan0" ${toPortal}; }; }`,
    )
    await router.addRule('iifname "lan0" meta l4proto { tcp, udp } drop')
    await router.forgetMappings()
    await changeLink()
    await untilFound({ UDP: false, CaptivePortal: true })
    assert.match((await agent.cli('netcheck')).stdout, /^Sign-in +this network wants a sign-in/m)
  })

  await t.test('and open again', async () => {
    await router.ns.nft('delete table ip portal')
    await router.clearRules()
    await lab.unblockUdp()
    await changeLink()
    await untilFound({ UDP: true, CaptivePortal: null })
  })
})
