// Our relay carries clients of others that have no direct path: both behind routers with a new port per destination.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stockUnavailable } from '../stock/binaries.ts'
import { startTailscaled } from '../stock/tailscaled.ts'
import { createLab } from './lab.ts'
import { addressOf, pingUntil, systemPingUntil } from './mesh-node.ts'
import { labUnavailable, runOrSkip } from './netns.ts'
import { peerwayUnavailable, startAgent, startCoord } from './peerway.ts'
import { until } from './process.ts'
import { relayStatus, turnRelayOn } from './relay.ts'
import { transfer } from './transfer.ts'

const options = runOrSkip(
  labUnavailable() ?? peerwayUnavailable() ?? stockUnavailable('tailscale-new', 'tailscale-old'),
  300_000,
)

/** Stock clients look for a relay at most every 30 s: this is the first try. */
const AT_ONCE_MS = 12_000
const PORT = 40_000
/** Geneve packets with the control bit; two of them are 400 bytes. */
const LOSES_FIRST_CHALLENGES = `table inet losing {
  chain out {
    type filter hook output priority 0
    udp sport ${PORT} @th,64,16 0x0080 quota until 400 bytes drop
  }
}
`

test('stock clients behind hard routers talk over our relay', options, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'hard' }, { nat: 'hard' }], hosts: ['relay'] })
  t.after(() => lab.close())
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const authKey = await coord.createAuthKey('anna', { reusable: true })
  const relay = await startAgent(lab, lab.host('relay'), { hostname: 'relay' })
  await relay.up({ loginServer: coord.url, authKey })
  await turnRelayOn(relay, PORT)
  await lab.host('relay').ns.nft(LOSES_FIRST_CHALLENGES)
  const a = await startTailscaled(lab, lab.client(0), { version: 'new', hostname: 'stock-new' })
  const b = await startTailscaled(lab, lab.client(1), { version: 'old', hostname: 'stock-old' })
  for (const client of [a, b]) await client.up({ loginServer: coord.url, authKey })
  const [addressA, addressB] = [await addressOf(a), await addressOf(b)]

  await t.test('they are relayed at once, though the first packets of the handshake are lost', async () => {
    await systemPingUntil(a, addressB, 20_000)
    const pong = await pingUntil(a, b, 'peer-relay', AT_ONCE_MS)
    t.diagnostic(pong.text)
    assert.match(pong.text, new RegExp(`peer-relay\\(${lab.host('relay').address}:${PORT}`))
    await pingUntil(b, a, 'peer-relay', AT_ONCE_MS)
    assert.match(await lab.host('relay').ns.run(['nft', 'list', 'table', 'inet', 'losing']), /used [1-9]/)
  })

  await t.test('a transfer arrives whole, and is counted', async () => {
    const bytes = 30_000_000
    const { seconds } = await transfer(a, b, { bytes, timeoutMs: 60_000 })
    t.diagnostic(`${((bytes * 8) / seconds / 1e6).toFixed(0)} Mbit/s over the relay`)
    const open = (await relayStatus(relay)).Sessions.filter(({ State }) => State === 'open')
    assert.equal(open.length, 1)
    const clients = open[0]?.Clients ?? []
    assert.deepEqual(
      clients.map(({ Name }) => Name ?? '').toSorted((a, b) => a.localeCompare(b)),
      ['stock-new', 'stock-old'],
    )
    const sent = clients.find(({ Name }) => Name === 'stock-new')?.BytesTx ?? 0
    assert.ok(sent > bytes, `counted ${sent} bytes`)
  })

  await t.test('a rate cap holds, without breaking the stream', async () => {
    const result = await relay.cli('set', '--relay-limit', '1MB/s')
    assert.equal(result.status, 0, result.stderr)
    const { seconds } = await transfer(a, b, { bytes: 5_000_000, timeoutMs: 60_000 })
    assert.ok(seconds > 4.5 && seconds < 12, `5 MB took ${seconds.toFixed(1)} s at 1 MB/s`)
    assert.equal((await relay.cli('set', '--relay-limit', '0')).status, 0)
  })

  await t.test('a restart of the relay: they come back to it', async () => {
    await relay.stop()
    await pingUntil(a, b, 'derp', 30_000)
    const anew = await startAgent(lab, lab.host('relay'), { hostname: 'relay' })
    await until(async () => (await relayStatus(anew)).State === 'running', { timeoutMs: 20_000, what: 'the relay' })
    await systemPingUntil(b, addressA, 20_000)
    await pingUntil(a, b, 'peer-relay', 75_000)
    await transfer(b, a, { bytes: 2_000_000, timeoutMs: 30_000 })
    const off = await anew.cli('set', '--relay-server-port=')
    assert.equal(off.status, 0, off.stderr)
    assert.equal((await relayStatus(anew)).State, 'off')
    await pingUntil(a, b, 'derp', 30_000)
  })
})

test('one client comes over IPv6, the other over IPv4', options, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'hard' }, { nat: 'hard' }], hosts: ['relay'], ipv6: true })
  t.after(() => lab.close())
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const authKey = await coord.createAuthKey('anna', { reusable: true })
  const host = lab.host('relay')
  const other = lab.client(1).address6
  assert.ok(host.address6 !== undefined && other !== undefined)
  const { router: first } = lab.site(0)
  // The first cannot reach the relay over IPv4, the second not over IPv6; and the two not each other.
  for (const address of [host.address, host.secondAddress])
    await first.addRule(`ip daddr ${address} meta l4proto udp drop`)
  await lab.site(1).router.addRule(`ip6 daddr ${host.address6} meta l4proto udp drop`)
  for (const way of ['saddr', 'daddr']) await first.addRule(`ip6 ${way} ${other} meta l4proto udp drop`)
  const relay = await startAgent(lab, host, { hostname: 'relay' })
  await relay.up({ loginServer: coord.url, authKey })
  await turnRelayOn(relay, PORT, ({ Endpoints }) => Endpoints.some((endpoint) => endpoint.startsWith('[')))
  const a = await startTailscaled(lab, lab.client(0), { version: 'new', hostname: 'stock-new' })
  const b = await startTailscaled(lab, lab.client(1), { version: 'old', hostname: 'stock-old' })
  for (const client of [a, b]) await client.up({ loginServer: coord.url, authKey })
  await systemPingUntil(a, await addressOf(b), 20_000)
  await pingUntil(a, b, 'peer-relay', 45_000)
  await transfer(a, b, { bytes: 5_000_000, timeoutMs: 30_000 })
  const open = (await relayStatus(relay)).Sessions.find(({ Clients }) =>
    Clients.every(({ Name }) => Name?.startsWith('stock-')),
  )
  const isV6 = Object.fromEntries(open?.Clients.map(({ Name, Endpoint }) => [Name, Endpoint?.startsWith('[')]) ?? [])
  assert.deepEqual(isV6, { 'stock-new': true, 'stock-old': false })
})
