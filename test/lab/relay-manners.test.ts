// A relay that is on and yet serves nobody: its month is used up, it is outside its hours, or its machine runs on battery. Who is
// carried is let down softly, the count outlives a kill, and everybody is told why. And a router that is not to be asked.

import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { stockUnavailable } from '../stock/binaries.ts'
import { startTailscaled } from '../stock/tailscaled.ts'
import { createLab, type Lab } from './lab.ts'
import { addressOf, pingUntil, systemPingUntil } from './mesh-node.ts'
import { labUnavailable, runOrSkip } from './netns.ts'
import { peerwayUnavailable, startAgent, startCoord, untilPath, type PeerwayAgent } from './peerway.ts'
import { portMappingUnavailable, startPortMapping } from './port-mapping.ts'
import { until } from './process.ts'
import { relayStatus, turnRelayOn } from './relay.ts'
import { transfer } from './transfer.ts'

const unavailable = labUnavailable() ?? peerwayUnavailable()
const PORT = 40_000
const MB = 1_000_000
/** 16 MB or ten seconds may not be on disk yet, and a round of counting more. */
const LOST_AT_MOST = 20 * MB
const SUPPLIES = '/sys/class/power_supply'

/** A machine whose power supplies are files of ours: the first word of the command it is started through. */
function withSupplies(lab: Lab): {
  readonly through: readonly string[]
  readonly plugIn: (isPlugged: boolean) => void
} {
  const folder = join(lab.dir, 'supplies')
  const plugIn = (isPlugged: boolean): void => {
    const supply = (name: string, files: Readonly<Record<string, string>>): void => {
      mkdirSync(join(folder, name), { recursive: true })
      for (const [file, content] of Object.entries(files)) writeFileSync(join(folder, name, file), `${content}\n`)
    }
    supply('AC', { type: 'Mains', online: isPlugged ? '1' : '0' })
    supply('BAT0', { type: 'Battery', present: '1', status: isPlugged ? 'Charging' : 'Discharging' })
  }
  plugIn(true)
  const script = `mount --bind '${folder}' ${SUPPLIES} && exec "$@"`
  return { through: ['unshare', '--mount', 'sh', '-c', script, 'sh'], plugIn }
}

test(
  'a relay that pauses lets its pairs down softly, says why, and comes back',
  runOrSkip(unavailable, 420_000),
  async (t) => {
    const lab = await createLab({ sites: [{ nat: 'hard' }, { nat: 'hard' }], hosts: ['relay'] })
    t.after(() => lab.close())
    const coord = await startCoord(lab, lab.coord)
    await coord.createUser('anna')
    const login = { loginServer: coord.url, authKey: await coord.createAuthKey('anna', { reusable: true }) }
    const { through, plugIn } = withSupplies(lab)
    const start = (): Promise<PeerwayAgent> => startAgent(lab, lab.host('relay'), { hostname: 'relay', through })
    let relay = await start()
    const a = await startAgent(lab, lab.client(0), { hostname: 'agent-a' })
    const b = await startAgent(lab, lab.client(1), { hostname: 'agent-b' })
    for (const node of [relay, a, b]) await node.up(login)
    await turnRelayOn(relay, PORT)
    const addressB = await addressOf(b)

    const set = async (...args: readonly string[]): Promise<void> => {
      const result = await relay.cli('set', ...args)
      assert.equal(result.status, 0, result.stderr)
    }
    const relayed = async (): Promise<void> => {
      await systemPingUntil(a, addressB, 20_000)
      await pingUntil(a, b, 'peer-relay', 45_000)
      await pingUntil(b, a, 'peer-relay', 45_000)
    }
    const paused = async (reason: string): Promise<void> => {
      await until(async () => (await relayStatus(relay)).Pause?.Reason === reason, {
        timeoutMs: 30_000,
        what: `the relay to pause for ${reason}`,
      })
      assert.equal((await relayStatus(relay)).State, 'paused')
    }
    /** Data goes on all the while, over the relay and then without it. */
    const letDown = async (): Promise<void> => {
      const flow = a.machine.ns.start(['ping', '-n', '-i', '0.2', addressB], { name: `flow-${performance.now()}` })
      await until(async () => (await relayStatus(relay)).Sessions.length === 0, {
        timeoutMs: 45_000,
        what: 'the relay to end its sessions',
      })
      await untilPath(a, 'agent-b', 'derp', 15_000)
      await flow.stop()
      const lost = lostIn(flow.output)
      t.diagnostic(`longest gap ${lost} pings of 0.2 s`)
      assert.ok(lost <= 20, `${lost} pings in a row had no answer`)
    }

    await relayed()

    await t.test('the month is used up', async () => {
      await transfer(a, b, { bytes: 25 * MB, timeoutMs: 60_000 })
      await until(async () => (await relayStatus(relay)).UsedBytes >= 25 * MB, {
        timeoutMs: 10_000,
        what: 'what was carried to be counted',
      })
      const { UsedBytes } = await relayStatus(relay)
      await set('--relay-quota', String(UsedBytes + 5 * MB))
      assert.equal((await relayStatus(relay)).State, 'running')
      await transfer(a, b, { bytes: 10 * MB, timeoutMs: 60_000 })
      await paused('quota')
      const said = await relay.cli('relay', 'status')
      assert.match(
        said.stdout,
        /^Paused: this month's 3\d\.\d MB are carried\. It relays again on .*\nNobody new is carried/,
      )
      await letDown()
      assert.ok((await relayStatus(relay)).UsedBytes < UsedBytes + 40 * MB, 'little more is carried than was allowed')
    })

    await t.test('a kill forgets next to nothing of the count, and the pause goes on', async () => {
      const { UsedBytes } = await relayStatus(relay)
      relay.process.signal('SIGKILL')
      await relay.process.exited
      relay = await start()
      await relay.untilState('Running', 20_000)
      const now = await relayStatus(relay)
      assert.ok(
        now.UsedBytes <= UsedBytes && now.UsedBytes > UsedBytes - LOST_AT_MOST,
        `${now.UsedBytes} of ${UsedBytes}`,
      )
      await set('--relay-quota', String(now.UsedBytes))
      await paused('quota')
      await set('--relay-quota=')
      await relayed()
    })

    await t.test('the machine runs on battery', async () => {
      plugIn(false)
      await paused('battery')
      plugIn(true)
      await until(async () => (await relayStatus(relay)).State === 'running', {
        timeoutMs: 15_000,
        what: 'the relay again',
      })
      await pingUntil(a, b, 'peer-relay', 45_000)
      plugIn(false)
      await paused('battery')
      await letDown()
      assert.match(
        (await relay.cli('relay', 'status')).stdout,
        /^Paused: this machine runs on battery\. It relays again on mains power\./,
      )
      await set('--relay-pause-on-battery', 'off')
      await relayed()
    })

    await t.test('it is outside its hours', async () => {
      const hour = (ahead: number): string => `${String((new Date().getHours() + ahead) % 24).padStart(2, '0')}:00`
      await set('--relay-hours', `${hour(2)}-${hour(4)}`)
      await paused('hours')
      await set('--relay-hours', `${hour(23)}-${hour(4)}`)
      assert.equal((await relayStatus(relay)).State, 'running')
      const refused = await relay.cli('set', '--relay-hours', 'at night')
      assert.match(refused.stderr, /relay\/bad-hours/)
    })
  },
)

const withStock = runOrSkip(unavailable ?? stockUnavailable('tailscale-new', 'tailscale-old'), 240_000)

test(
  'stock clients that are carried when a relay pauses go on without it, after a short silence',
  withStock,
  async (t) => {
    const lab = await createLab({ sites: [{ nat: 'hard' }, { nat: 'hard' }], hosts: ['relay'] })
    t.after(() => lab.close())
    const coord = await startCoord(lab, lab.coord)
    await coord.createUser('anna')
    const login = { loginServer: coord.url, authKey: await coord.createAuthKey('anna', { reusable: true }) }
    const relay = await startAgent(lab, lab.host('relay'), { hostname: 'relay' })
    const a = await startTailscaled(lab, lab.client(0), { version: 'new', hostname: 'stock-new' })
    const b = await startTailscaled(lab, lab.client(1), { version: 'old', hostname: 'stock-old' })
    for (const node of [relay, a, b]) await node.up(login)
    await turnRelayOn(relay, PORT)
    const addressB = await addressOf(b)
    await systemPingUntil(a, addressB, 20_000)
    await pingUntil(a, b, 'peer-relay', 75_000)
    const flow = a.machine.ns.start(['ping', '-n', '-i', '0.2', addressB], { name: 'flow' })
    await flow.waitForOutput(/icmp_seq=20 /, 10_000)
    const { UsedBytes } = await relayStatus(relay)
    assert.equal((await relay.cli('set', '--relay-quota', String(Math.max(UsedBytes, 1)))).status, 0)
    await until(async () => (await relayStatus(relay)).Sessions.length === 0, { timeoutMs: 45_000, what: 'no session' })
    await pingUntil(a, b, 'derp', 30_000)
    await flow.stop()
    const gap = lostIn(flow.output) * 0.2
    t.diagnostic(`longest silence ${gap.toFixed(1)} s`)
    assert.ok(gap < 12, `nothing was answered for ${gap} s`)
  },
)

test(
  'a router that is not to be asked has its ports back',
  runOrSkip(unavailable ?? portMappingUnavailable(), 180_000),
  async (t) => {
    const lab = await createLab({ sites: [{ nat: 'hard' }] })
    t.after(() => lab.close())
    const router = await startPortMapping(lab, 0, {})
    const coord = await startCoord(lab, lab.coord)
    await coord.createUser('anna')
    const agent = await startAgent(lab, lab.client(0), { hostname: 'home' })
    await agent.up({ loginServer: coord.url, authKey: await coord.createAuthKey('anna') })
    await turnRelayOn(agent, PORT, ({ Endpoints }) => Endpoints.includes(`${router.externalAddress}:${PORT}`))
    const mapped = async (port: number): Promise<boolean> => (await router.rules()).includes(`dport ${port}`)
    const untilMapped = (isMapped: boolean): Promise<unknown> =>
      until(async () => (await mapped(PORT)) === isMapped && (await mapped(41_641)) === isMapped, {
        timeoutMs: 30_000,
        what: `the router to have ${isMapped ? 'both ports' : 'none of the ports'}`,
        explain: () => agent.log().slice(-3_000),
      })
    await untilMapped(true)
    const set = async (value: string): Promise<void> => {
      const result = await agent.cli('set', `--port-mapping=${value}`)
      assert.equal(result.status, 0, result.stderr)
    }
    await set('off')
    await untilMapped(false)
    const { Endpoints, PortMapping } = await relayStatus(agent)
    assert.ok(!PortMapping && !Endpoints.includes(`${router.externalAddress}:${PORT}`))
    assert.match((await agent.cli('relay', 'status')).stdout, /The router is not asked for a port/)

    await agent.stop()
    const again = await startAgent(lab, lab.client(0), { hostname: 'home' })
    await again.untilState('Running', 20_000)
    await until(async () => (await relayStatus(again)).State === 'running', { timeoutMs: 20_000, what: 'the relay' })
    // The router is asked within a second where it may be.
    await new Promise<void>((resolve) => void setTimeout(resolve, 4_000))
    assert.ok(!(await mapped(PORT)) && !(await mapped(41_641)), 'the setting outlives a restart')
    const on = await again.cli('set', '--port-mapping', 'on')
    assert.equal(on.status, 0, on.stderr)
    await untilMapped(true)
  },
)

/** The longest run of pings without an answer, by their numbers. */
function lostIn(output: string): number {
  const numbers = [...output.matchAll(/icmp_seq=(\d+) ttl/g)].map(([, number]) => Number(number))
  return Math.max(0, ...numbers.slice(1).map((number, index) => number - (numbers[index] ?? number) - 1))
}
