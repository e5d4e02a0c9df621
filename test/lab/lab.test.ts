// The lab itself: what each router kind does to UDP and TCP, so that later tests may lean on it.

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { test, type TestContext } from 'node:test'
import { createLab, type Lab, type LabOptions, type Machine } from './lab.ts'
import { labUnavailable, runOrSkip } from './netns.ts'
import type { LabProcess } from './process.ts'

const PROBE = fileURLToPath(new URL('udp-probe.mjs', import.meta.url))
const PORT = 41_641
const ECHO_PORT = 3_478

const options = runOrSkip(labUnavailable(), 60_000)

async function openLab(t: TestContext, labOptions: LabOptions): Promise<Lab> {
  const lab = await createLab(labOptions)
  t.after(() => lab.close())
  return lab
}

/** Both addresses of coord answer with the sender's mapped address. */
async function startEcho(lab: Lab): Promise<string[]> {
  const places = [lab.coord.address, lab.coord.secondAddress].map((address) => `${address}:${ECHO_PORT}`)
  const echo = lab.coord.ns.start([process.execPath, PROBE, 'echo', ...places])
  for (const place of places) await echo.waitForOutput(new RegExp(`echo on ${place}`))
  return places
}

function talk(machine: Machine, port: number, targets: readonly string[]): LabProcess {
  return machine.ns.start([process.execPath, PROBE, 'talk', String(port), ...targets])
}

/** The mapped addresses that the two echo places saw. */
async function mappings(lab: Lab, machine: Machine, port = PORT): Promise<string[]> {
  const places = await startEcho(lab)
  const talker = talk(machine, port, places)
  const seen: string[] = []
  for (const place of places) seen.push((await talker.waitForOutput(new RegExp(`^${place} said (.*)$`, 'm')))[1] ?? '')
  await talker.stop()
  return seen
}

/** Whether a word from the other side arrives within the time; a miss is an answer here, not a failure. */
async function hears(process: LabProcess, from: RegExp, timeoutMs: number): Promise<boolean> {
  return process.waitForOutput(from, timeoutMs).then(
    () => true,
    () => false,
  )
}

test('an easy NAT shows one kept port to every destination, a hard one a new port to each', options, async (t) => {
  const lab = await openLab(t, { sites: [{ nat: 'easy' }, { nat: 'hard' }] })
  const router = lab.site(0).router.wanAddress
  assert.deepEqual(await mappings(lab, lab.client(0)), [`${router}:${PORT}`, `${router}:${PORT}`])

  const hardLab = await openLab(t, { sites: [{ nat: 'hard' }] })
  const [first, second] = await mappings(hardLab, hardLab.client(0))
  assert.notEqual(first, second)
  assert.match(first ?? '', new RegExp(`^${hardLab.site(0).router.wanAddress}:`))
})

test('two clients behind easy NATs reach each other when both send', options, async (t) => {
  const lab = await openLab(t, { sites: [{ nat: 'easy' }, { nat: 'easy' }] })
  const [a, b] = [lab.site(0).router.wanAddress, lab.site(1).router.wanAddress]
  const left = talk(lab.client(0), PORT, [`${b}:${PORT}`])
  const right = talk(lab.client(1), PORT, [`${a}:${PORT}`])
  await left.waitForOutput(new RegExp(`^${b}:${PORT} said hello`, 'm'), 5_000)
  await right.waitForOutput(new RegExp(`^${a}:${PORT} said hello`, 'm'), 5_000)
  const passed = await lab.site(0).router.udpPassed()
  assert.ok(passed.out.packets > 0 && passed.in.packets > 0, JSON.stringify(passed))
})

test('the same fails when one NAT is hard, and nobody gets in uninvited', options, async (t) => {
  const lab = await openLab(t, { sites: [{ nat: 'easy' }, { nat: 'hard' }] })
  const [a, b] = [lab.site(0).router.wanAddress, lab.site(1).router.wanAddress]
  const left = talk(lab.client(0), PORT, [`${b}:${PORT}`])
  const right = talk(lab.client(1), PORT, [`${a}:${PORT}`])
  assert.equal(await hears(left, /said hello/, 1_500), false)
  assert.equal(await hears(right, /said hello/, 100), false)
})

test('an open site is reached without having sent first', options, async (t) => {
  const lab = await openLab(t, { sites: [{ nat: 'open' }, { nat: 'hard' }] })
  const listener = talk(lab.client(0), PORT, [])
  talk(lab.client(1), PORT, [`${lab.client(0).address}:${PORT}`])
  await listener.waitForOutput(new RegExp(`^${lab.site(1).router.wanAddress}:\\d+ said hello`, 'm'), 5_000)
})

test(
  'blocked UDP stops a running flow, unblocking brings it back, and TCP passes all the while',
  options,
  async (t) => {
    const lab = await openLab(t, { sites: [{ nat: 'easy' }, { nat: 'blk' }] })
    const [place = ''] = await startEcho(lab)
    const counted = async () => (await lab.site(0).router.udpPassed()).in.packets
    const talker = talk(lab.client(0), PORT, [place])
    await talker.waitForOutput(/said/)
    await lab.site(0).router.blockUdp()
    const before = await counted()
    const blocked = talk(lab.client(1), PORT, [place])
    assert.equal(await hears(blocked, /said/, 700), false)
    assert.equal(await counted(), before)

    const listen = `require('net').createServer((s) => s.end('hi')).listen(8080, () => console.log('listening'))`
    await lab.coord.ns.start([process.execPath, '-e', listen]).waitForOutput(/listening/)
    const connect = `require('net').connect(8080, '${lab.coord.address}').on('data', (d) => console.log(String(d)))`
    for (const site of [0, 1]) {
      assert.equal(await lab.client(site).ns.run([process.execPath, '-e', connect]), 'hi\n')
    }

    await lab.site(0).router.unblockUdp()
    const heard = talker.output.length
    await hears(talker, new RegExp(`^[\\s\\S]{${heard},}said[^\\n]*\\n`), 3_000)
    assert.ok((await counted()) > before)
  },
)

test('forgetting mappings gives a hard NAT client a new port and leaves the router working', options, async (t) => {
  const lab = await openLab(t, { sites: [{ nat: 'hard' }] })
  const [place = ''] = await startEcho(lab)
  const talker = talk(lab.client(0), PORT, [place])
  const first = (await talker.waitForOutput(/said (.*)\n/))[1] ?? ''
  await lab.site(0).router.forgetMappings()
  await talker.waitForOutput(new RegExp(`said (?!${first.replaceAll('.', '\\.')})`), 5_000)
})

test('IPv6 is routed but filtered by state', options, async (t) => {
  const lab = await openLab(t, { sites: [{ nat: 'easy' }, { nat: 'open' }], ipv6: true })
  const [inside, open, coord] = [lab.client(0), lab.client(1), lab.coord]
  assert.ok(await inside.ns.canPing(coord.address6 ?? ''), 'a client reaches a host on the wan')
  assert.ok(await inside.ns.canPing(open.address6 ?? ''), 'a client reaches an open site')
  const serve = `require('net').createServer((s) => s.end()).listen(8080, '::', () => console.log('listening'))`
  for (const machine of [inside, open]) {
    await machine.ns.start([process.execPath, '-e', serve]).waitForOutput(/listening/)
  }
  const connects = async (address: string) => {
    const script = `const s = require('net').connect(8080, '${address}', () => process.exit(0)); s.on('error', () => process.exit(1)); setTimeout(() => process.exit(1), 700)`
    return (await coord.ns.tryRun([process.execPath, '-e', script])).status === 0
  }
  assert.equal(await connects(open.address6 ?? ''), true)
  assert.equal(await connects(inside.address6 ?? ''), false)
})

/** A zombie that nobody waits for has ended too. */
function runs(pid: string): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

test('a test process that is ended in the middle leaves no namespace and no program behind', options, async () => {
  const script = `
    import { createLab } from ${JSON.stringify(new URL('lab.ts', import.meta.url).href)}
    const lab = await createLab({ sites: [{ nat: 'easy' }] })
    const sleeper = lab.client(0).ns.start(['sleep', '1000'])
    console.log('up', process.pid, sleeper.pid)
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [pid = '', sleeper = ''] = await new Promise<string[]>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => resolve(text.trim().split(' ').slice(1)))
    child.once('close', (code) => reject(new Error(`ended with ${code}`)))
  })
  assert.ok(runs(sleeper))
  const ended = new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal)))
  child.kill('SIGTERM')
  assert.equal(await ended, 'SIGTERM')
  const left = ['/var/run/netns', '/etc/netns'].flatMap((dir) => readdirSync(dir))
  assert.deepEqual(
    left.filter((name) => name.startsWith(`pw-${pid}-`)),
    [],
  )
  assert.equal(runs(sleeper), false)
})
