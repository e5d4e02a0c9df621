// Somebody is away for a while: scenarios 8 and 9 of docs/lab.md, and what an agent that was killed remembers.

import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'node:test'
import type { PathHistoryView } from '../../electron/contract/path-history-view.ts'
import { homeOf, startDerpPair } from '../bench/failover-lab.ts'
import { createLab } from './lab.ts'
import { addressOf, type MeshNode, pingUntil, systemPingUntil } from './mesh-node.ts'
import { labUnavailable, runOrSkip } from './netns.ts'
import { peerwayUnavailable, startAgent, startCoord, untilPath } from './peerway.ts'
import { until, type LabProcess } from './process.ts'

const options = runOrSkip(labUnavailable() ?? peerwayUnavailable(), 150_000)

/** The router of the one who sleeps forgets an idle mapping after so many seconds, in place of minutes. */
const MAPPING_SECONDS = 5
const ASLEEP_MS = 15_000
/** Our own figures are a second or less; machines that build and test beside this one are slow. */
const AWAKE_MS = 10_000
const DIRECT_MS = 15_000
const DERP_GAP_MS = 10_000
/** The history is written each 10 s. */
const WRITTEN_MS = 11_000

interface Echoes {
  readonly flow: LabProcess
  count(): number
  /** The longest time without an answer from then on, wall-clock milliseconds. */
  longestGapMs(sinceMs: number): number
}

function startEchoes(from: MeshNode, address: string, name: string): Echoes {
  const flow = from.machine.ns.start(['ping', '-n', '-D', '-i', '0.2', address], { name })
  const times = (): number[] =>
    [...flow.output.matchAll(/^\[([\d.]+)\] \d+ bytes from/gm)].map(([, at]) => 1000 * Number(at))
  return {
    flow,
    count: () => times().length,
    longestGapMs(sinceMs) {
      const all = [sinceMs, ...times().filter((atMs) => atMs > sinceMs), Date.now()]
      return Math.max(...all.slice(1).map((atMs, index) => atMs - (all[index] ?? atMs)))
    },
  }
}

/** How long until the next one is answered. */
async function untilNext(echoes: Echoes, what: string, timeoutMs: number): Promise<number> {
  const [before, since] = [echoes.count(), performance.now()]
  await until(() => Promise.resolve(echoes.count() > before), { timeoutMs, everyMs: 50, what })
  return performance.now() - since
}

test('scenario 8: a machine sleeps until its router has forgotten it, and wakes', options, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'hard' }, { nat: 'open' }] })
  t.after(() => lab.close())
  const { router } = lab.site(0)
  await router.setUdpTimeouts({ unreplied: MAPPING_SECONDS, stream: MAPPING_SECONDS })
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const login = { loginServer: coord.url, authKey: await coord.createAuthKey('anna', { reusable: true }) }
  const laptop = await startAgent(lab, lab.client(0), { hostname: 'laptop' })
  const server = await startAgent(lab, lab.client(1), { hostname: 'server' })
  for (const agent of [laptop, server]) await agent.up(login)
  const address = await addressOf(server)
  await systemPingUntil(laptop, address, 15_000)
  await pingUntil(laptop, server, 'direct', DIRECT_MS)
  const before = (await server.peer('laptop'))?.Path.via
  laptop.process.signal('SIGSTOP')
  await sleep(ASLEEP_MS)
  const left = await router.ns.run(['conntrack', '-L', '-p', 'udp', '--orig-src', lab.client(0).address])
  assert.doesNotMatch(left, new RegExp(`src=${lab.client(0).address} dst=${lab.client(1).address} `), 'still mapped')
  laptop.process.signal('SIGCONT')
  const echoes = startEchoes(laptop, address, 'after-sleep')
  t.diagnostic(`answered after ${(await untilNext(echoes, 'an answer after the sleep', AWAKE_MS)).toFixed(0)} ms`)
  await untilPath(laptop, 'server', 'direct', DIRECT_MS)
  const viaNow = await until(
    async () => {
      const path = (await server.peer('laptop'))?.Path
      return path?.kind === 'direct' && path.via !== before ? path.via : undefined
    },
    { timeoutMs: DIRECT_MS, everyMs: 200, what: 'the server to have its new address' },
  )
  t.diagnostic(`from ${before} to ${viaNow}`)
  await echoes.flow.stop()
})

test('scenario 9: the home DERP server is frozen, and then dies', options, async (t) => {
  // Both are at home in the same place, or there would be two ways already.
  const { pair, derps } = await startDerpPair(['ours', 'ours'], async (lab) => {
    for (const site of [0, 1]) await lab.site(site).router.addRule(`ip daddr ${lab.host('derp2').address} drop`)
  })
  t.after(() => pair.close())
  const { a, b } = pair
  await systemPingUntil(a, await addressOf(b), 30_000)
  const echoes = startEchoes(a, await addressOf(b), 'over-derp')
  await untilNext(echoes, 'echoes over DERP', 10_000)
  assert.deepEqual([await homeOf(a), await homeOf(b)], [1, 1])
  for (const site of [0, 1]) await pair.lab.site(site).router.clearRules()
  // For a look at the network that finds the other one.
  for (const node of [a, b]) await node.cli('netcheck')
  const homeIs = (region: 1 | 2): Promise<unknown> =>
    until(async () => (await Promise.all([homeOf(a), homeOf(b)])).every((home) => home === region), {
      timeoutMs: 30_000,
      everyMs: 500,
      what: `both to be at home in ${region}`,
    })
  await t.test('frozen: its own pings tell, long before the connection does', async (st) => {
    const sinceMs = Date.now()
    derps.get(1)?.signal('SIGSTOP')
    await homeIs(2)
    await untilNext(echoes, 'echoes again', DERP_GAP_MS)
    const gapMs = echoes.longestGapMs(sinceMs)
    st.diagnostic(`gap ${gapMs.toFixed(0)} ms`)
    assert.ok(gapMs < DERP_GAP_MS, `${gapMs} ms without an answer`)
    derps.get(1)?.signal('SIGCONT')
  })
  await t.test('dead: the connection tells at once, and the other is home again', async (st) => {
    await sleep(3_000)
    const sinceMs = Date.now()
    await derps.get(2)?.stop()
    await homeIs(1)
    await untilNext(echoes, 'echoes again', DERP_GAP_MS)
    const gapMs = echoes.longestGapMs(sinceMs)
    st.diagnostic(`gap ${gapMs.toFixed(0)} ms`)
    assert.ok(gapMs < DERP_GAP_MS, `${gapMs} ms without an answer`)
  })
  await echoes.flow.stop()
})

test('what happened to a path is known after the agent was killed, and after it was stopped', options, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'easy' }, { nat: 'easy' }] })
  t.after(() => lab.close())
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const login = { loginServer: coord.url, authKey: await coord.createAuthKey('anna', { reusable: true }) }
  const start = (site: number, hostname: string) => startAgent(lab, lab.client(site), { hostname })
  let a = await start(0, 'agent-a')
  const b = await start(1, 'agent-b')
  for (const agent of [a, b]) await agent.up(login)
  await systemPingUntil(a, await addressOf(b), 15_000)
  await pingUntil(a, b, 'direct', DIRECT_MS)
  const changes = async (): Promise<PathHistoryView['changes']> => {
    const { status, stdout, stderr } = await a.cli('path', '--json', 'agent-b')
    assert.equal(status, 0, stderr)
    return (JSON.parse(stdout) as PathHistoryView).changes
  }
  const known = () => until(() => a.peer('agent-b'), { timeoutMs: 10_000, everyMs: 200, what: 'agent-b to be known' })
  await sleep(WRITTEN_MS)
  const killed = await changes()
  assert.ok(killed.some(({ to }) => to.kind === 'direct'))
  a.process.signal('SIGKILL')
  await a.process.exited
  a = await start(0, 'agent-a')
  await a.untilState('Running', 20_000)
  await known()
  assert.deepEqual((await changes()).slice(0, killed.length), killed)
  await pingUntil(a, b, 'direct', DIRECT_MS)
  const stopped = await changes()
  assert.ok(stopped.length > killed.length)
  await a.stop()
  a = await start(0, 'agent-a')
  await a.untilState('Running', 20_000)
  await known()
  const after = await changes()
  assert.deepEqual(after.slice(0, stopped.length), stopped)
})
