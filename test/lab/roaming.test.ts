// A stream through a tunnel whose ground moves: the router forgets its mappings, the machine changes its address, the program
// sleeps and wakes.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLab } from './lab.ts'
import { addressOf, pingUntil, systemPingUntil } from './mesh-node.ts'
import { labUnavailable, runOrSkip } from './netns.ts'
import { peerwayUnavailable, startAgent, startCoord } from './peerway.ts'
import { startTransfer } from './transfer.ts'

const options = runOrSkip(labUnavailable() ?? peerwayUnavailable(), 180_000)

const RETURN_MS = 30_000
const STREAM_BYTES_PER_SECOND = 500_000
const SOME_BYTES = 1_000_000
/** Longer than a path is trusted, so that the peer has turned to DERP meanwhile. */
const SLEEP_MS = 10_000

test('a stream survives what happens to a laptop', options, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'hard' }, { nat: 'open' }] })
  t.after(() => lab.close())
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const authKey = await coord.createAuthKey('anna', { reusable: true })
  const laptop = await startAgent(lab, lab.client(0), { hostname: 'laptop' })
  const server = await startAgent(lab, lab.client(1), { hostname: 'server' })
  for (const agent of [laptop, server]) await agent.up({ loginServer: coord.url, authKey })
  await systemPingUntil(laptop, await addressOf(server), 10_000)
  await pingUntil(laptop, server, 'direct', 10_000)
  const laptopAddress = await addressOf(laptop)
  const stream = await startTransfer(server, laptop, { bytesPerSecond: STREAM_BYTES_PER_SECOND, timeoutMs: 170_000 })
  const goesOn = async (): Promise<void> => {
    await stream.progress(SOME_BYTES, RETURN_MS)
    await pingUntil(server, laptop, 'direct', RETURN_MS)
    await pingUntil(laptop, server, 'direct', RETURN_MS)
    await stream.progress(SOME_BYTES, RETURN_MS)
  }
  await goesOn()

  await t.test('its router starts anew and gives it another port', async () => {
    const before = (await server.peer('laptop'))?.Path.via
    await lab.site(0).router.forgetMappings()
    await goesOn()
    assert.notEqual((await server.peer('laptop'))?.Path.via, before)
  })

  await t.test('it gets another address', async () => {
    const { ns, address } = lab.client(0)
    const gateway = address.replace(/\d+$/, '1')
    const next = address.replace(/\d+$/, '77')
    await ns.ip(`addr del ${address}/24 dev eth0`)
    await ns.ip(`addr add ${next}/24 dev eth0`, `route add default via ${gateway}`)
    await goesOn()
  })

  await t.test('its cable is out for a while', async () => {
    const { ns, address } = lab.client(0)
    await ns.ip('link set eth0 down')
    assert.equal(await server.machine.ns.canPing(laptopAddress, 3), false)
    await ns.ip('link set eth0 up', `route add default via ${address.replace(/\d+$/, '1')}`)
    await goesOn()
  })

  await t.test('it sleeps and wakes', async () => {
    laptop.process.signal('SIGSTOP')
    const asleepSince = performance.now()
    assert.equal(await server.machine.ns.canPing(laptopAddress, SLEEP_MS / 1000), false)
    assert.ok(performance.now() - asleepSince > SLEEP_MS * 0.9)
    laptop.process.signal('SIGCONT')
    await goesOn()
  })

  await t.test('all that was sent has arrived', async () => {
    const { bytes, seconds, longestGapMs } = await stream.finish()
    t.diagnostic(`stream: ${bytes} bytes in ${seconds.toFixed(1)} s, longest gap ${longestGapMs} ms`)
    for (const agent of [laptop, server]) assert.deepEqual(await agent.health(), [])
  })
})
