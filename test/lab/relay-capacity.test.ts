// The self-test's last step: what goes out of a home through an uplink of known width, measured with a stock client and with
// ours as the machine outside.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stockUnavailable } from '../stock/binaries.ts'
import { startTailscaled } from '../stock/tailscaled.ts'
import { createLab } from './lab.ts'
import { addressOf, systemPingUntil } from './mesh-node.ts'
import { labUnavailable, runOrSkip } from './netns.ts'
import { peerwayUnavailable, startAgent, startCoord } from './peerway.ts'
import { relayTest, turnRelayOn } from './relay.ts'

const options = runOrSkip(labUnavailable() ?? peerwayUnavailable() ?? stockUnavailable('tailscale-new'), 180_000)
const PORT = 40_000
const MOST_TRIES = 5

/** What leaves faster is dropped, as by a provider. Counted in full packets: the kernel's limit in bytes lets a second's worth through at once. */
const uplink = (mbit: number): string => `table inet uplink {
  chain out {
    type filter hook output priority 0
    udp sport ${PORT} udp length > 1000 limit rate over ${Math.round((mbit * 1e6) / 8 / 1_228)}/second burst 20 packets drop
  }
}
`

test('the capacity of a relay is what its uplink carries', options, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'easy' }], hosts: ['relay'] })
  t.after(() => lab.close())
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const login = { loginServer: coord.url, authKey: await coord.createAuthKey('anna', { reusable: true }) }
  const host = lab.host('relay')
  const relay = await startAgent(lab, host, { hostname: 'relay' })
  await relay.up(login)
  await turnRelayOn(relay, PORT)

  const measured = async (): Promise<number> => {
    const found = await relayTest(relay)
    assert.deepEqual([found.failing, found.result('capacity')], [undefined, 'ok'], found.text)
    t.diagnostic(found.text.split('\n').find((line) => line.includes('go from this machine')) ?? '')
    return ((found.bytesPerSecond ?? 0) * 8) / 1e6
  }
  /** A machine that is busy with other things measures too little now and then, and never what the way does not carry. */
  const measuresWithin = async (least: number, most: number): Promise<void> => {
    const seen: number[] = []
    for (let tried = 0; tried < MOST_TRIES; tried++) {
      const got = await measured()
      if (got > least && got < most) return
      seen.push(got)
    }
    assert.fail(`${seen.join(', ')} Mbit/s, wanted ${least} to ${most}`)
  }
  const measuresWith = async (): Promise<void> => {
    for (const mbit of [4, 24]) {
      await host.ns.nft(uplink(mbit))
      await measuresWithin(0.75 * mbit, 1.4 * mbit)
      await host.ns.nft('delete table inet uplink')
    }
    await measuresWithin(30, Infinity)
  }

  await t.test('with a stock client outside', async () => {
    const stock = await startTailscaled(lab, lab.client(0), { version: 'new', hostname: 'stock' })
    await stock.up(login)
    await systemPingUntil(stock, await addressOf(relay), 20_000)
    await measuresWith()
    await stock.stop()
  })

  await t.test('with one of ours', async () => {
    const ours = await startAgent(lab, lab.client(0), { hostname: 'ours', port: 41_642 })
    await ours.up(login)
    await systemPingUntil(ours, await addressOf(relay), 20_000)
    await measuresWith()
  })
})
