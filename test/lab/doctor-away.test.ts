// The path doctor on machines that are cut off, asleep, or out of time: one alone is ill, and the others are told nothing wrong.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DERP_PORT, names, startNetwork } from './doctor.ts'
import { createLab } from './lab.ts'
import { LAN_IF } from './nat.ts'
import { labUnavailable, runOrSkip } from './netns.ts'
import { peerwayUnavailable, startAgent, type PeerwayAgent } from './peerway.ts'
import { until } from './process.ts'
import { wrongClock, wrongClockUnavailable } from './wrong-clock.ts'

/** A direct path may be back before the connection to the DERP server is, which waits longer between tries. */
const untilWell = (agent: PeerwayAgent): Promise<true> =>
  until(async () => (await agent.health()).length === 0 || undefined, {
    timeoutMs: 90_000,
    what: `${agent.hostname} to complain of nothing`,
    explain: async () => (await agent.health()).join('\n'),
  })

const more = process.env['PEERWAY_LONG']
  ? runOrSkip(labUnavailable() ?? peerwayUnavailable() ?? wrongClockUnavailable(), 580_000)
  : { skip: 'takes minutes: PEERWAY_LONG=1' }

/** What a café's router does: every web page is its own, and nothing else passes. */
const PORTAL = `const page = (_, answer) => answer.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Welcome</h1>')
require('node:http').createServer(page).listen(8080, () => console.log('open'))`
const TO_PORTAL = `table ip portal {
  chain in {
    type nat hook prerouting priority -100
    iifname "${LAN_IF}" tcp dport { 80, 8480 } redirect to :8080
  }
}
`

test('the doctor names a machine that is cut off, and one that sleeps', more, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'easy' }, { nat: 'easy' }, { nat: 'easy' }] })
  t.after(() => lab.close())
  const { join } = await startNetwork(t, lab)
  const home = await join(lab.client(0), 'home')
  const cabin = await join(lab.client(1), 'cabin')
  const nas = await join(lab.client(2), 'nas')
  await names(home, 'cabin', null)
  await names(home, 'nas', null)
  await names(cabin, 'nas', null)
  const { router } = lab.site(0)

  await t.test('a network that wants a sign-in on a web page', async () => {
    const portal = router.ns.start([process.execPath, '-e', PORTAL], { name: 'portal' })
    await portal.waitForOutput(/open/)
    await router.ns.nft(TO_PORTAL)
    await router.addRule('drop')
    await names(home, 'cabin', 'captive-portal', null)
    await names(home, 'nas', 'captive-portal', null)
    await names(cabin, 'nas', null)
    await router.clearRules()
    await router.ns.nft('delete table ip portal')
    await portal.stop()
    await names(home, 'cabin', null, 'captive-portal')
    await untilWell(home)
  })
  await t.test('a machine whose network leads nowhere', async () => {
    await router.addRule('drop')
    await names(home, 'cabin', 'offline-here', null)
    await names(home, 'nas', 'offline-here', null)
    await names(cabin, 'nas', null)
    await router.clearRules()
    await names(home, 'cabin', null, 'offline-here')
    await untilWell(home)
  })
  await t.test('a machine without a cable', async () => {
    await home.machine.ns.ip('link set eth0 down')
    await names(home, 'cabin', 'offline-here', null)
    await home.machine.ns.ip('link set eth0 up', 'route add default via 192.168.11.1')
    await names(home, 'cabin', null, 'offline-here')
    await untilWell(home)
  })
  await t.test('a machine that fell asleep', async () => {
    await nas.machine.ns.ip('link set eth0 down')
    nas.process.signal('SIGSTOP')
    const told = await names(cabin, 'nas', 'peer-asleep', null)
    assert.match(told.text ?? '', /nas answers nothing/)
    await names(home, 'cabin', null)
    await names(cabin, 'nas', 'peer-offline', 'peer-asleep')
    nas.process.signal('SIGCONT')
    await nas.machine.ns.ip('link set eth0 up', 'route add default via 192.168.13.1')
    await names(cabin, 'nas', null, 'peer-offline')
  })
})

test('the doctor names a machine that cannot reach its DERP server, at both ends', more, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'easy' }, { nat: 'easy' }, { nat: 'easy' }] })
  t.after(() => lab.close())
  const { coord, join } = await startNetwork(t, lab)
  const home = await join(lab.client(0), 'home')
  await join(lab.client(1), 'cabin')
  await lab.site(2).router.addRule(`ip daddr ${lab.coord.address} tcp dport ${DERP_PORT} drop`)
  // Both ends look for a path at times, and would meet without a word over DERP.
  const apart = async (): Promise<void> => {
    for (const way of ['saddr', 'daddr'])
      await lab.site(2).router.addRule(`ip ${way} ${lab.site(0).router.wanAddress} meta l4proto udp drop`)
  }
  await apart()
  const office = await join(lab.client(2), 'office')

  await t.test('the way to the DERP server is closed from the start', async () => {
    await names(office, 'home', 'derp-unreachable')
    const told = await names(home, 'office', 'peer-no-home')
    assert.match(told.nextStep ?? '', /on office/)
    await names(home, 'cabin', null)
    await office.stop()
    await lab.site(2).router.clearRules()
    await apart()
  })
  await t.test('a clock that is a month slow', async () => {
    const env = wrongClock(lab, -30 * 24 * 3_600)
    const again = await startAgent(lab, lab.client(2), { hostname: 'desk', env })
    await again.up({ loginServer: coord.url, authKey: await coord.createAuthKey('anna', {}) })
    const told = await names(again, 'home', 'clock-off')
    assert.match(told.text ?? '', /30 days slow/)
    await names(home, 'desk', 'peer-no-home')
    await names(home, 'cabin', null)
  })
})
