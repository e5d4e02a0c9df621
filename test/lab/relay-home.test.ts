// A relay in a home without an open port: what it can do depends on what its router lets in, and it makes the router
// expect its clients. Clients are stock ones, which know nothing of that.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stockUnavailable } from '../stock/binaries.ts'
import { startTailscaled } from '../stock/tailscaled.ts'
import { createLab } from './lab.ts'
import { addressOf, pingUntil, systemPingUntil } from './mesh-node.ts'
import { WAN_IF } from './nat.ts'
import { labUnavailable, runOrSkip } from './netns.ts'
import { peerwayUnavailable, startAgent, startCoord } from './peerway.ts'
import { portMappingUnavailable, startPortMapping } from './port-mapping.ts'
import { relayStatus, relayTest, turnRelayOn } from './relay.ts'
import { until } from './process.ts'
import { transfer } from './transfer.ts'

const unavailable = labUnavailable() ?? peerwayUnavailable() ?? stockUnavailable('tailscale-new', 'tailscale-old')
const options = runOrSkip(unavailable, 480_000)

/** Stock clients look for a relay at most every 30 s. */
const RELAYED_MS = 75_000
const HOME = 2

/** Keeps one public port for `port` of the client, and lets in everyone, or everyone who was written to. */
const portKept = (port: number, client: string, wan: string, letsIn: 'all' | 'known'): string => `table ip relayhome {
  set known {
    type ipv4_addr
    flags dynamic
    timeout 300s
  }
  chain out {
    type filter hook forward priority -5
    oifname "${WAN_IF}" udp sport ${port} update @known { ip daddr }
  }
  chain in {
    type nat hook prerouting priority -100
    iifname "${WAN_IF}" udp dport ${port} ${letsIn === 'known' ? 'ip saddr @known ' : ''}dnat to ${client}:${port}
  }
  chain same {
    type nat hook postrouting priority 90
    oifname "${WAN_IF}" udp sport ${port} snat to ${wan}:${port}
  }
}
`

test('a relay in a home without an open port carries whom physics allows', options, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'easy' }, { nat: 'easy' }, { nat: 'easy' }] })
  t.after(() => lab.close())
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const authKey = await coord.createAuthKey('anna', { reusable: true })
  const relay = await startAgent(lab, lab.client(HOME), { hostname: 'relay' })
  await relay.up({ loginServer: coord.url, authKey })
  const a = await startTailscaled(lab, lab.client(0), { version: 'new', hostname: 'stock-new' })
  const b = await startTailscaled(lab, lab.client(1), { version: 'old', hostname: 'stock-old' })
  const routers = [0, 1, HOME].map((site) => lab.site(site).router)
  const [routerA, routerB, home] = routers
  assert.ok(routerA && routerB && home)
  // Nothing passes between the two clients' sites: they need someone in between.
  for (const way of ['saddr', 'daddr']) await routerA.addRule(`ip ${way} ${routerB.wanAddress} meta l4proto udp drop`)
  for (const client of [a, b]) await client.up({ loginServer: coord.url, authKey })
  const addressB = await addressOf(b)

  const isPublic = (port: number) => (status: { readonly Endpoints: readonly string[] }) =>
    status.Endpoints.includes(`${home.wanAddress}:${port}`)

  const areRelayed = async (port: number): Promise<void> => {
    await systemPingUntil(a, addressB, 20_000)
    const pong = await pingUntil(a, b, 'peer-relay', RELAYED_MS)
    assert.match(pong.text, new RegExp(`peer-relay\\(${home.wanAddress}:${port}`))
    await pingUntil(b, a, 'peer-relay', RELAYED_MS)
    await transfer(a, b, { bytes: 2_000_000, timeoutMs: 30_000 })
    // The relay itself may be relayed to as well, while no direct path to it is known.
    const carried = (await relayStatus(relay)).Sessions.filter(({ State, Clients }) => {
      return State === 'open' && Clients.every(({ Name }) => Name?.startsWith('stock-'))
    })
    assert.equal(carried.length, 1)
  }

  const off = async (): Promise<void> => {
    const result = await relay.cli('set', '--relay-server-port=')
    assert.equal(result.status, 0, result.stderr)
    await pingUntil(a, b, 'derp', 30_000)
  }

  await t.test('behind an ordinary router: clients whose ports can be foreseen', async () => {
    await turnRelayOn(relay, 40_000, isPublic(40_000))
    const found = await relayTest(relay)
    assert.equal(found.result('reachable-v4'), 'limited', found.text)
    await areRelayed(40_000)
    await off()
  })

  for (const router of [routerA, routerB]) await router.become('hard')

  await t.test(
    'behind an ordinary router, when only hard routers are outside: the self-test says what is missing',
    async () => {
      await turnRelayOn(relay, 40_003, isPublic(40_003))
      const found = await relayTest(relay)
      assert.equal(found.failing, 'reachable-v4', found.text)
      assert.match(found.text, /forward UDP port 40003/)
      await off()
    },
  )

  await t.test('behind a router that lets in whom one has written to: clients behind hard routers', async () => {
    await home.ns.nft(portKept(40_001, lab.client(HOME).address, home.wanAddress, 'known'))
    await turnRelayOn(relay, 40_001, isPublic(40_001))
    await areRelayed(40_001)
    await off()
    await home.ns.nft('delete table ip relayhome')
  })

  await t.test('behind a router that lets in everyone: clients behind hard routers', async () => {
    await home.ns.nft(portKept(40_002, lab.client(HOME).address, home.wanAddress, 'all'))
    await turnRelayOn(relay, 40_002, isPublic(40_002))
    const found = await relayTest(relay)
    assert.equal(found.result('reachable-v4'), 'ok', found.text)
    assert.deepEqual(
      [found.failing, found.result('handshake'), found.result('traffic')],
      [undefined, 'ok', 'ok'],
      found.text,
    )
    await areRelayed(40_002)
    await off()
  })
})

const withMapping = runOrSkip(unavailable ?? portMappingUnavailable(), 240_000)

test('a router that maps ports makes a relay for everyone, even behind a hard one', withMapping, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'hard' }, { nat: 'hard' }, { nat: 'hard' }] })
  t.after(() => lab.close())
  const router = await startPortMapping(lab, HOME, { pmp: false })
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const authKey = await coord.createAuthKey('anna', { reusable: true })
  const relay = await startAgent(lab, lab.client(HOME), { hostname: 'relay' })
  await relay.up({ loginServer: coord.url, authKey })
  const mapped = `${router.externalAddress}:40000`
  await turnRelayOn(relay, 40_000, ({ Endpoints }) => Endpoints[0] === mapped)
  const a = await startTailscaled(lab, lab.client(0), { version: 'new', hostname: 'stock-new' })
  const b = await startTailscaled(lab, lab.client(1), { version: 'old', hostname: 'stock-old' })
  for (const client of [a, b]) await client.up({ loginServer: coord.url, authKey })
  await systemPingUntil(a, await addressOf(b), 20_000)
  const pong = await pingUntil(a, b, 'peer-relay', RELAYED_MS)
  assert.ok(pong.text.includes(`peer-relay(${mapped}`), pong.text)
  await relay.cli('set', '--relay-server-port=')
  const isMapped = async (): Promise<boolean> => (await router.rules()).includes('dport 40000')
  await until(async () => !(await isMapped()), { timeoutMs: 15_000, what: 'the mapping to be given back' })
})
