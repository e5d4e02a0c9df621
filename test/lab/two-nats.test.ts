// Two of our agents, each behind a home router of its own, under our own server: the product's main job.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLab, type Lab } from './lab.ts'
import { addressOf, pingUntil } from './mesh-node.ts'
import { labUnavailable, runOrSkip } from './netns.ts'
import { peerwayUnavailable, startAgent, startCoord, untilPath } from './peerway.ts'
import { startTransfer } from './transfer.ts'

const options = runOrSkip(labUnavailable() ?? peerwayUnavailable(), 180_000)

/** From joined to a direct pong. */
const DIRECT_MS = 10_000
/** A quiet direct path is doubted within seconds, and the kernel's TCP then needs its own retransmission. */
const FALLBACK_MS = 20_000
/** Direct paths are looked for again at intervals of some seconds while traffic flows. */
const RETURN_MS = 60_000
const STREAM_BYTES_PER_SECOND = 1_000_000

/** Payload bytes that cross the wan meanwhile; packets would not do, as the kernel keeps trains of them together. */
async function bytesOnWan(lab: Lab, filter: string, meanwhile: () => Promise<void>): Promise<number> {
  const capture = await lab.capture(filter, { name: 'tcpdump-bytes' })
  await meanwhile()
  await capture.stop()
  let sum = 0
  for (const [, length] of capture.stdout.matchAll(/ length (\d+)/g)) sum += Number(length)
  return sum
}

test('two agents behind home routers talk directly, over DERP, and directly again', options, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'easy' }, { nat: 'easy' }] })
  t.after(() => lab.close())
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const agents = [0, 1].map((site) => startAgent(lab, lab.client(site), { hostname: `agent-${site}` }))
  const [a, b] = await Promise.all([agents[0], agents[1]])
  assert.ok(a && b)
  for (const agent of [a, b]) await agent.up({ loginServer: coord.url, authKey: await coord.createAuthKey('anna') })
  const [wanA, wanB] = [lab.site(0).router.wanAddress, lab.site(1).router.wanAddress]
  const between = `udp and host ${wanA} and host ${wanB}`
  const withServer = `tcp and host ${lab.coord.address}`
  const [addressA, addressB] = [await addressOf(a), await addressOf(b)]

  await t.test('they reach each other directly within ten seconds', async () => {
    await Promise.all([pingUntil(a, b, 'direct', DIRECT_MS), pingUntil(b, a, 'direct', DIRECT_MS)])
    assert.ok(await a.machine.ns.canPing(addressB, 3), 'the system answers over the tunnel')
    assert.ok(await b.machine.ns.canPing(addressA, 3), 'the system answers over the tunnel')
    const path = (await a.peer('agent-1'))?.Path
    assert.equal(path?.via, `${wanB}:41641`)
    for (const agent of [a, b]) assert.deepEqual(await agent.health(), [])
  })

  await t.test('iperf3 runs for five seconds over the direct path, and only there', async () => {
    const server = b.machine.ns.start(['iperf3', '-s', '-1', '--forceflush', '-B', addressB], { name: 'iperf3' })
    await server.waitForOutput(/Server listening/)
    const before = await lab.site(0).router.udpPassed()
    const text = await a.machine.ns.run(['iperf3', '-c', addressB, '-t', '5', '-J'])
    const report = JSON.parse(text) as { end: { sum_received: { bytes: number; seconds: number } } }
    const { bytes, seconds } = report.end.sum_received
    assert.ok(seconds > 4.5 && seconds < 8, `it ran for ${seconds} s`)
    const megabits = (bytes * 8) / seconds / 1e6
    assert.ok(megabits > 50, `only ${megabits.toFixed(1)} Mbit/s went through`)
    const passed = (await lab.site(0).router.udpPassed()).out.bytes - before.out.bytes
    assert.ok(passed > bytes, `${bytes} bytes arrived, but only ${passed} left the site as UDP`)
    t.diagnostic(`iperf3: ${megabits.toFixed(0)} Mbit/s`)
  })

  await t.test('what a transfer says is not to be read on the wan', async () => {
    const marker = 'peerway-marker-in-clear'
    const wan = await lab.capture(`host ${wanA}`, { name: 'tcpdump-clear' }, ['-A'])
    const listener = b.machine.ns.start([
      process.execPath,
      '-e',
      `require('net').createServer((s) => s.pipe(process.stdout)).listen(9000, '${addressB}', () => console.log('listening'))`,
    ])
    await listener.waitForOutput(/listening/)
    const say = `require('net').connect(9000, '${addressB}', function () { this.end('${marker}') })`
    await a.machine.ns.run([process.execPath, '-e', say])
    await listener.waitForOutput(new RegExp(marker))
    await wan.stop()
    assert.match(wan.stdout, / length [1-9]/, 'the wan carried the transfer')
    assert.ok(!wan.stdout.includes(marker), 'the wan carried it in clear')
  })

  await t.test('a stream goes on over DERP while UDP is blocked, and directly again after', async () => {
    const stream = await startTransfer(a, b, { bytesPerSecond: STREAM_BYTES_PER_SECOND, timeoutMs: 150_000 })
    await stream.progress(500_000, 10_000)

    await lab.blockUdp()
    await untilPath(a, 'agent-1', 'derp', FALLBACK_MS)
    await stream.progress(2_000_000, FALLBACK_MS)
    await pingUntil(a, b, 'derp', FALLBACK_MS)
    await pingUntil(b, a, 'derp', FALLBACK_MS)
    const arrives = (): Promise<void> => stream.progress(2_000_000, FALLBACK_MS)
    assert.equal(await bytesOnWan(lab, between, arrives), 0, 'UDP still crossed the wan')
    // Into the server and out of it again.
    assert.ok((await bytesOnWan(lab, withServer, arrives)) > 3_000_000, 'DERP did not carry the stream')

    await lab.unblockUdp()
    await untilPath(a, 'agent-1', 'direct', RETURN_MS)
    await pingUntil(b, a, 'direct', RETURN_MS)
    assert.ok((await bytesOnWan(lab, between, arrives)) > 1_500_000, 'the direct path did not carry the stream')
    const { bytes, seconds, longestGapMs } = await stream.finish()
    t.diagnostic(`stream: ${bytes} bytes in ${seconds.toFixed(1)} s, longest gap ${longestGapMs} ms`)
    assert.ok(longestGapMs < 15_000, `nothing arrived for ${longestGapMs} ms`)
  })
})
