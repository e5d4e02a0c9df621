// Long ways, made by forwarders in user space: scenarios 5 and 13 of docs/lab.md.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createLab, type Lab, type Machine } from './lab.ts'
import { addressOf, type PathKind, systemPingUntil } from './mesh-node.ts'
import { labUnavailable, type Namespace, runOrSkip } from './netns.ts'
import { peerwayUnavailable, startAgent, startCoord, untilPath, type PeerwayAgent } from './peerway.ts'
import { until, type LabProcess } from './process.ts'
import { turnRelayOn } from './relay.ts'

const options = runOrSkip(labUnavailable() ?? peerwayUnavailable(), 180_000)

const SLOW_PATH = fileURLToPath(new URL('slow-path.mjs', import.meta.url))
const UDP_PORT = 41_641
const RELAY_PORT = 40_000
const FORWARDER_PORT = 9_000
/** One way. */
const SLOW_MS = 150
const FAR_MS = 40
/** A pair looks for a relay within seconds; the rest is for a busy machine. */
const MOVED_MS = 25_000
const STAYS_MS = 5_000
/** Relays are compared with each other, and with a slow direct path, each minute. */
const COMPARED_MS = 90_000
const isWhole = process.env['PEERWAY_LAB'] === 'whole'

async function slowPath(
  ns: Namespace,
  where: {
    readonly at: string
    readonly port: number
    readonly from: string
    readonly to: string
    readonly toPort: number
  },
  delaysMs: readonly number[],
): Promise<LabProcess> {
  const ends = [where.at, where.port, where.from, where.to, where.toPort, ...delaysMs].map(String)
  const started = ns.start([process.execPath, SLOW_PATH, 'udp', ...ends], { name: `slow-${ns.role}` })
  await started.waitForOutput(/ready/)
  return started
}

/** The site's client is reached over a long way only, but for the machines with public addresses. */
async function slowSite(lab: Lab, site: number): Promise<void> {
  const { router } = lab.site(site)
  const { address } = lab.client(site)
  const from = address.replace(/\d+$/, '1')
  await slowPath(router.ns, { at: router.wanAddress, port: UDP_PORT, from, to: address, toPort: UDP_PORT }, [SLOW_MS])
  await router.ns.nft(`insert rule inet lab toRouter udp dport ${UDP_PORT} accept`)
  await router.addRule(`ip saddr ${address} meta l4proto udp ip daddr != 10.77.0.0/24 drop`)
}

/** All that comes to this machine's relay, and all answers, take that long; the second delay from SIGUSR2 on. */
async function slowRelay({ ns, address }: Machine, delaysMs: readonly number[]): Promise<LabProcess> {
  await ns.nft(`table ip slowrelay {
  chain in {
    type nat hook prerouting priority -100
    iifname "eth0" udp dport ${RELAY_PORT} redirect to :${FORWARDER_PORT}
  }
  chain straight {
    type filter hook output priority 0
    oifname "eth0" udp sport ${RELAY_PORT} drop
  }
}
`)
  const where = { at: address, port: FORWARDER_PORT, from: address, to: address, toPort: RELAY_PORT }
  return slowPath(ns, where, delaysMs)
}

async function members(
  lab: Lab,
  machines: Readonly<Record<string, Machine>>,
): Promise<(hostname: string) => PeerwayAgent> {
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const login = { loginServer: coord.url, authKey: await coord.createAuthKey('anna', { reusable: true }) }
  const agents = new Map<string, PeerwayAgent>()
  for (const [hostname, machine] of Object.entries(machines)) {
    const agent = await startAgent(lab, machine, { hostname, port: UDP_PORT })
    await agent.up(login)
    agents.set(hostname, agent)
  }
  return (hostname) => {
    const agent = agents.get(hostname)
    assert.ok(agent, hostname)
    return agent
  }
}

/** Echoes through the tunnel, ten in a second: how long the last ones took. */
function startEchoes(from: PeerwayAgent, address: string): { readonly flow: LabProcess; recentMs: () => number } {
  const flow = from.machine.ns.start(['ping', '-n', '-i', '0.1', address], { name: 'echoes' })
  const times = (): number[] => [...flow.output.matchAll(/time=([\d.]+)/g)].map(([, ms]) => Number(ms))
  return {
    flow,
    recentMs: () =>
      times()
        .slice(-5)
        .toSorted((a, b) => a - b)[2] ?? Infinity,
  }
}

test(
  'scenario 5: a relay that is near goes before a direct path of 300 ms, and that before DERP',
  options,
  async (t) => {
    const lab = await createLab({ sites: [{ nat: 'easy' }, { nat: 'easy' }], hosts: ['relay'] })
    t.after(() => lab.close())
    await slowSite(lab, 1)
    const agent = await members(lab, { relay: lab.host('relay'), a: lab.client(0), b: lab.client(1) })
    const [a, b] = [agent('a'), agent('b')]
    const relay = agent('relay')
    await turnRelayOn(relay, RELAY_PORT)
    await systemPingUntil(a, await addressOf(b), 15_000)
    const { flow, recentMs } = startEchoes(a, await addressOf(b))
    const both = async (kind: PathKind, timeoutMs: number): Promise<void> => {
      await untilPath(a, 'b', kind, timeoutMs)
      await untilPath(b, 'a', kind, timeoutMs)
    }
    const echoesWithin = (leastMs: number, mostMs: number): Promise<unknown> =>
      until(() => Promise.resolve(recentMs() >= leastMs && recentMs() < mostMs), {
        timeoutMs: 10_000,
        what: `echoes within ${leastMs} and ${mostMs} ms`,
        explain: () => `last ${recentMs()} ms`,
      })
    await both('peer-relay', MOVED_MS)
    await echoesWithin(0, SLOW_MS)
    // The direct path has answered long since.
    await sleep(STAYS_MS)
    await both('peer-relay', 1_000)
    t.diagnostic(`relay: echo ${recentMs()} ms`)

    const { status, stderr } = await relay.cli('set', '--relay-server-port=')
    assert.equal(status, 0, stderr)
    await both('direct', MOVED_MS)
    // DERP is faster here, and all share it: a slow way of one's own is better than that.
    await echoesWithin(2 * SLOW_MS - 10, 1_000)
    t.diagnostic(`direct: echo ${recentMs()} ms`)
    if (isWhole) {
      await turnRelayOn(relay, RELAY_PORT)
      const since = performance.now()
      await both('peer-relay', COMPARED_MS)
      t.diagnostic(`on the relay again after ${((performance.now() - since) / 1000).toFixed(1)} s`)
      await echoesWithin(0, SLOW_MS)
    } else t.diagnostic('that a direct path in use is left is waited for with npm run test:lab only')
    await flow.stop()
  },
)

test('scenario 13: of two relays the near one carries, and the other when that becomes far', options, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'hard' }, { nat: 'hard' }], hosts: ['near', 'far'] })
  t.after(() => lab.close())
  const near = await slowRelay(lab.host('near'), [1, 3 * FAR_MS])
  await slowRelay(lab.host('far'), [FAR_MS])
  const places = { near: lab.host('near'), far: lab.host('far'), a: lab.client(0), b: lab.client(1) }
  const agent = await members(lab, places)
  const [a, b] = [agent('a'), agent('b')]
  for (const name of ['far', 'near']) await turnRelayOn(agent(name), RELAY_PORT)
  await systemPingUntil(a, await addressOf(b), 15_000)
  const { flow, recentMs } = startEchoes(a, await addressOf(b))
  const over = async (relay: string, timeoutMs: number): Promise<void> => {
    let last = ''
    await until(
      async () => {
        const paths = [(await a.peer('b'))?.Path, (await b.peer('a'))?.Path]
        last = JSON.stringify(paths)
        return paths.every((path) => path?.kind === 'peer-relay' && path.via === relay)
      },
      { timeoutMs, everyMs: 300, what: `both to be on ${relay}`, explain: () => last },
    )
  }
  await over('near', MOVED_MS)
  await until(() => Promise.resolve(recentMs() < 2 * FAR_MS), { timeoutMs: 5_000, what: 'echoes over the near relay' })
  t.diagnostic(`near: echo ${recentMs()} ms`)
  if (!isWhole) {
    t.diagnostic('that the near one becomes far is waited for with npm run test:lab only')
    await flow.stop()
    return
  }
  near.signal('SIGUSR2')
  const since = performance.now()
  await over('far', COMPARED_MS)
  t.diagnostic(`on the other after ${((performance.now() - since) / 1000).toFixed(1)} s, echo ${recentMs()} ms`)
  await flow.stop()
})
