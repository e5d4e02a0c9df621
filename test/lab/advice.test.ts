// Three places that could relay for a pair behind hard routers: one near, one far, one where nobody gets in. The server
// names the near one, with what it would save, and later tells what it did save.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { RelayAdviceInfo } from '../../electron/coord/advice/advice-info.ts'
import { createLab, type Lab } from './lab.ts'
import { pingUntil, systemPingUntil, addressOf } from './mesh-node.ts'
import { labUnavailable, runOrSkip } from './netns.ts'
import { type PeerwayCoord, peerwayUnavailable, startAgent, startCoord } from './peerway.ts'
import { until } from './process.ts'
import { turnRelayOn } from './relay.ts'
import { startTransfer } from './transfer.ts'

const options = runOrSkip(labUnavailable() ?? peerwayUnavailable(), 600_000)

const SLOW_PATH = fileURLToPath(new URL('slow-path.mjs', import.meta.url))
const [A, B, NEAR, FAR, SHUT] = [0, 1, 2, 3, 4]
const DERP_PORT = 8_481
const UDP_PORT = 41_641
/** One way; four of them make the round trip of the pair over DERP, and of the pair over the far node. */
const DERP_DELAY_MS = 20
const FAR_DELAY_MS = 8
/** Reports come after half a minute, and once more a minute later; a relay in use is told of within a minute and a half. */
const REPORTS_MS = 180_000

/** The way of a site's clients to the DERP server takes longer. */
async function slowDerp(lab: Lab, site: number): Promise<void> {
  const { ns } = lab.site(site).router
  const program = [process.execPath, SLOW_PATH, 'tcp', '9481', lab.coord.address, String(DERP_PORT)]
  const started = ns.start([...program, String(DERP_DELAY_MS)], { name: `slow-derp-${site}` })
  await started.waitForOutput(/ready/)
  await ns.nft(`table ip slowderp {
  chain toUs {
    type nat hook prerouting priority -100
    iifname "lan0" tcp dport ${DERP_PORT} redirect to :9481
  }
}
`)
}

/** The site's client is reached from outside, and only over a long way. */
async function slowUdp(lab: Lab, site: number): Promise<void> {
  const { router } = lab.site(site)
  const { address } = lab.client(site)
  const program = [process.execPath, SLOW_PATH, 'udp', router.wanAddress, String(UDP_PORT)]
  const lan = address.replace(/\d+$/, '1')
  const started = router.ns.start([...program, lan, address, String(UDP_PORT), String(FAR_DELAY_MS)], {
    name: `slow-udp-${site}`,
  })
  await started.waitForOutput(/ready/)
  await router.ns.nft(`insert rule inet lab toRouter udp dport ${UDP_PORT} accept`)
  // Straight to the others would be fast.
  await router.addRule(`ip saddr ${address} meta l4proto udp ip daddr != 10.77.0.0/24 drop`)
}

async function adviceUntil(
  coord: PeerwayCoord,
  what: string,
  isIt: (advice: RelayAdviceInfo) => boolean,
): Promise<RelayAdviceInfo> {
  let last = ''
  return until(
    async () => {
      last = await coord.cli('relays', 'advice', '--json')
      const advice = JSON.parse(last) as RelayAdviceInfo
      return isIt(advice) ? advice : undefined
    },
    { timeoutMs: REPORTS_MS, everyMs: 3_000, what, explain: () => last },
  )
}

test('the node that would help a pair most is named, and later what it brought', options, async (t) => {
  const nats = ['hard', 'hard', 'open', 'easy', 'hard'] as const
  const lab = await createLab({ sites: nats.map((nat) => ({ nat })) })
  t.after(() => lab.close())
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  for (const site of [A, B]) await slowDerp(lab, site)
  await slowUdp(lab, FAR)
  const authKey = await coord.createAuthKey('anna', { reusable: true })
  const join = async (site: number, hostname: string) => {
    const agent = await startAgent(lab, lab.client(site), { hostname, port: UDP_PORT })
    await agent.up({ loginServer: coord.url, authKey })
    return agent
  }
  const [a, b, near] = [await join(A, 'a'), await join(B, 'b'), await join(NEAR, 'near')]
  await join(FAR, 'far')
  await join(SHUT, 'shut')
  await pingUntil(a, b, 'derp', 20_000)
  await systemPingUntil(a, await addressOf(b), 10_000)
  const stream = await startTransfer(a, b, { bytesPerSecond: 20_000, timeoutMs: 500_000 })

  const advised = await adviceUntil(coord, 'the near and the far node to be advised', ({ candidates }) => {
    return candidates.length >= 2 && candidates.every(({ measuredCount }) => measuredCount > 0)
  })
  await t.test('the near one comes first, the far one second, the shut one not at all', () => {
    assert.deepEqual(
      advised.candidates.map(({ node, isRelay }) => [node, isRelay]),
      [
        ['near', false],
        ['far', false],
      ],
      JSON.stringify(advised),
    )
    const [best, second] = advised.candidates
    const pair = best?.pairs[0]
    assert.ok(best && second && pair)
    assert.deepEqual([...pair.nodes].sort(), ['a', 'b'])
    assert.equal(pair.basis, 'measured')
    // Timers of busy machines are late, and never early.
    assert.ok(pair.nowMs >= 4 * DERP_DELAY_MS - 4 && pair.nowMs < 10 * DERP_DELAY_MS, JSON.stringify(pair))
    const far = second.pairs[0]
    assert.ok(far && far.thenMs >= 4 * FAR_DELAY_MS - 4 && far.thenMs < far.nowMs, JSON.stringify(far))
    assert.ok(best.savedMs > second.savedMs)
    t.diagnostic(JSON.stringify(advised.candidates))
  })

  await t.test('in words, with what to type', async () => {
    const text = await coord.cli('relays', 'advice')
    assert.match(text, /near +1 +\d+ ms +measured/)
    assert.match(text, /On near: peerway set --relay-server-port 40000/)
  })

  await turnRelayOn(near, 40_000, ({ Endpoints }) => Endpoints.length > 0)
  await pingUntil(a, b, 'peer-relay', 75_000)
  const gained = await adviceUntil(coord, 'the gain to be told', ({ relays }) => relays.length > 0)
  await t.test('the true gain is told, near to what was promised', () => {
    const [relay] = gained.relays
    const [gain] = relay?.pairs ?? []
    assert.ok(relay && gain, JSON.stringify(gained))
    assert.deepEqual([relay.node, relay.pairCount, relay.inUseCount, relay.slowerCount], ['near', 1, 1, 0])
    assert.equal(gain.basis, 'measured')
    const promised = advised.candidates[0]?.savedMs ?? 0
    assert.ok(Math.abs(gain.savedMs - promised) < promised / 3, `promised ${promised} ms: ${JSON.stringify(gain)}`)
    assert.deepEqual(gained.candidates, [], 'a pair that is helped is no case for advice')
    t.diagnostic(JSON.stringify(gained.relays))
  })
  await stream.progress(1, 30_000) // told of each 256 KiB, which is 13 s here
  await stream.finish()
})
