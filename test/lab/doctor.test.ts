// The path doctor names what is really the matter, and nothing else: each cause is made here by routers and firewalls.

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { NodePrivate } from '../../electron/crypto/keys.ts'
import { stockUnavailable } from '../stock/binaries.ts'
import { startTailscaled, type Tailscaled } from '../stock/tailscaled.ts'
import { startWireguardGo } from '../stock/wireguard-go.ts'
import { DERP_PORT, DIAGNOSIS_MS, names, startNetwork, type Told } from './doctor.ts'
import { createLab, type Lab, type Machine } from './lab.ts'
import { LAN_IF } from './nat.ts'
import { addressOf } from './mesh-node.ts'
import { labUnavailable, runOrSkip } from './netns.ts'
import { peerwayUnavailable, startAgent } from './peerway.ts'
import { until } from './process.ts'
import { turnRelayOn } from './relay.ts'

const options = runOrSkip(labUnavailable() ?? peerwayUnavailable(), 240_000)
const stock = runOrSkip(labUnavailable() ?? peerwayUnavailable() ?? stockUnavailable('tailscale-new'), 240_000)
const more = process.env['PEERWAY_LONG']
  ? runOrSkip(labUnavailable() ?? peerwayUnavailable() ?? stockUnavailable('wireguard-go'), 480_000)
  : { skip: 'takes three minutes: PEERWAY_LONG=1' }

const HOLD_PORT = "require('node:dgram').createSocket('udp4').bind(41641, () => console.log('bound'))"

test('the doctor names the router, the blocked UDP and the machine that is off', options, async (t) => {
  const lab = await createLab({
    sites: [{ nat: 'hard' }, { nat: 'hard' }, { nat: 'blk' }, { nat: 'easy' }, { nat: 'easy' }],
  })
  t.after(() => lab.close())
  const { join } = await startNetwork(t, lab)
  const phone = await join(lab.client(0), 'phone')
  const tablet = await join(lab.client(1), 'tablet')
  const office = await join(lab.client(2), 'office')
  const home = await join(lab.client(3), 'home')
  await join(lab.client(4), 'cabin')

  await t.test('two hard routers', async () => {
    const told = await names(phone, 'tablet', 'both-hard')
    assert.match(told.text ?? '', /tablet/)
    await names(tablet, 'phone', 'both-hard')
  })
  await t.test('a hard router at one end', async () => {
    await names(phone, 'home', 'hard-here')
    await names(home, 'phone', 'hard-there')
  })
  await t.test('UDP blocked here, and there', async () => {
    await names(office, 'home', 'udp-blocked-here')
    await names(home, 'office', 'udp-blocked-there')
    await names(phone, 'office', 'udp-blocked-there')
  })
  await t.test('nothing to say of a direct path', async () => {
    await names(home, 'cabin', null)
  })
  await t.test('a path policy that rules it out', async () => {
    await home.cli('path', '--policy', 'only-relay', '--relay', 'office', 'cabin')
    await names(home, 'cabin', 'path-rule', null)
    await home.cli('path', '--policy', 'default', 'cabin')
    await names(home, 'cabin', null, 'path-rule')
  })
  // The server hears of that in half a minute at the most; the next part takes as long.
  await tablet.stop()
  await t.test('a firewall between two ends that could', async () => {
    const { router } = lab.site(4)
    await router.addRule(`ip saddr ${lab.site(3).router.wanAddress} meta l4proto udp drop`)
    await router.addRule(`ip daddr ${lab.site(3).router.wanAddress} meta l4proto udp drop`)
    await names(home, 'cabin', 'firewall-suspected')
    await router.clearRules()
    await names(home, 'cabin', null)
  })
  await t.test('a machine that is off', async () => {
    await names(phone, 'tablet', 'peer-offline')
  })
  await t.test('the list names each machine that is not direct once', async () => {
    const result = await phone.cli('doctor', '--json')
    const causes = (JSON.parse(result.stdout) as (Told & { readonly name: string })[]).map(({ name, cause }) => [
      name,
      cause,
    ])
    assert.equal(new Set(causes.map(([name]) => name)).size, 4)
    assert.deepEqual(Object.fromEntries(causes)['tablet'], 'peer-offline')
    assert.match(
      (await phone.cli('status')).stdout,
      /home .*DERP own.*The router here uses a new port for each destination/,
    )
  })
})

const SECOND_LAN = '192.168.60'

/** A guest network at the site's router: its own addresses, and no way to the other machines there. */
async function addGuest(lab: Lab, site: number): Promise<Machine> {
  const { ns: router } = lab.site(site).router
  const ns = await lab.nets.create(`guest-${site}`)
  await lab.nets.veth(
    { ns, name: 'eth0', cidrs: [`${SECOND_LAN}.2/24`] },
    { ns: router, name: 'guests', cidrs: [`${SECOND_LAN}.1/24`] },
  )
  await ns.ip(`route add default via ${SECOND_LAN}.1`)
  await lab.site(site).router.addRule(`iifname "guests" oifname "${LAN_IF}" drop`)
  await lab.site(site).router.addRule(`iifname "${LAN_IF}" oifname "guests" drop`)
  return { ns, address: `${SECOND_LAN}.2`, address6: undefined }
}

/** A VPN of another kind takes all traffic of the machine to an exit on the wan that changes ports. */
async function startVpn(t: TestContext, machine: Machine, exit: Machine, gateway: string): Promise<void> {
  const [here, there] = [NodePrivate.generate(), NodePrivate.generate()]
  const names = [`vpn${process.pid % 10_000}h`, `vpn${process.pid % 10_000}t`] as const
  const [near, far] = [
    await startWireguardGo(machine.ns, { tun: names[0], privateKey: here.secretBytes(), listenPort: 51_820 }),
    await startWireguardGo(exit.ns, { tun: names[1], privateKey: there.secretBytes(), listenPort: 51_820 }),
  ]
  t.after(() => Promise.all([near.stop(), far.stop()]))
  await far.setPeer({ publicKey: here.public.bytes, allowedIps: ['10.9.0.2/32'] })
  await near.setPeer({
    publicKey: there.public.bytes,
    allowedIps: ['0.0.0.0/0'],
    endpoint: `${exit.address}:51820`,
  })
  await exit.ns.sysctl({ 'net/ipv4/ip_forward': 1 })
  await exit.ns.nft(`table ip vpn {
  chain source {
    type nat hook postrouting priority 100
    ip saddr 10.9.0.0/24 masquerade fully-random
  }
}
`)
  await exit.ns.ip(`addr add 10.9.0.1/24 dev ${names[1]}`, `link set ${names[1]} up`)
  await machine.ns.ip(
    `addr add 10.9.0.2/24 dev ${names[0]}`,
    `link set ${names[0]} mtu 1420 up`,
    `route add ${exit.address}/32 via ${gateway}`,
    `route replace default dev ${names[0]}`,
  )
}

test('the doctor names what is the matter with this machine, its router and its relay', more, async (t) => {
  const lab = await createLab({
    sites: [{ nat: 'easy', clients: 3 }, { nat: 'hard' }, { nat: 'hard' }, { nat: 'open' }],
    hosts: ['exit'],
  })
  t.after(() => lab.close())
  const { coord, join } = await startNetwork(t, lab)
  const home = await join(lab.client(0), 'home')
  await join(await addGuest(lab, 0), 'guest')
  const phone = await join(lab.client(1), 'phone')
  await join(lab.client(2), 'tablet')
  const box = await join(lab.client(3), 'box')

  await t.test('one public address and two local networks', async () => {
    await names(home, 'guest', 'hairpin-missing')
  })
  await t.test('two machines in one network, and a firewall on one', async () => {
    const desk = await join(lab.client(0, 1), 'desk')
    await desk.machine.ns.nft(`table inet host {
  chain in {
    type filter hook input priority 0
    ip saddr ${home.machine.address} meta l4proto udp drop
  }
}
`)
    await names(home, 'desk', 'firewall-suspected')
  })
  await t.test('another VPN with all the traffic', async () => {
    await startVpn(t, lab.client(0, 2), lab.host('exit'), '192.168.11.1')
    const laptop = await join(lab.client(0, 2), 'laptop')
    const told = await names(laptop, 'phone', 'vpn-default-route')
    assert.match(told.text ?? '', /vpn\d+h/)
    // In the same house the VPN stands in nobody's way.
    await names(home, 'laptop', null)
  })
  await t.test('a DERP server that cannot be reached', async () => {
    const { router } = lab.site(1)
    await names(phone, 'home', 'hard-here')
    await router.addRule(`tcp dport ${DERP_PORT} drop`)
    await names(phone, 'home', 'derp-unreachable', 'hard-here')
    await router.clearRules()
    await names(phone, 'home', 'hard-here', 'derp-unreachable')
  })
  await t.test('a relay whose port is closed', async () => {
    await names(phone, 'tablet', 'both-hard', 'derp-unreachable')
    await lab.site(3).router.addRule('udp dport 40000 drop')
    await turnRelayOn(box, 40_000)
    const told = await names(phone, 'tablet', 'relay-fails', 'both-hard')
    assert.match(told.text ?? '', /box fails: its UDP port cannot be reached/)
  })
  await t.test('a key that ran out', async () => {
    await coord.cli('nodes', 'expire', 'tablet')
    await names(phone, 'tablet', 'peer-key-expired', 'relay-fails', 'both-hard')
    await box.stop()
    // Until then it is a relay that fails.
    const isOff = async (): Promise<boolean> => (await phone.peer('box'))?.Online === false
    await until(isOff, { timeoutMs: DIAGNOSIS_MS, what: 'the relay to be off' })
    await names(phone, 'home', 'hard-here', 'relay-fails')
  })
  await t.test('a STUN server that stopped is no blocked network', async () => {
    await lab.coord.ns.nft(`table inet host {
  chain in {
    type filter hook input priority 0
    meta l4proto udp drop
  }
}
`)
    // Both ends look at their networks while data flows.
    const ping = phone.machine.ns.start(['ping', '-n', '-i', '0.5', await addressOf(home)])
    await names(phone, 'home', 'stun-unanswered', 'hard-here')
    await ping.stop()
  })
  await t.test('a UDP port that another program has', async () => {
    const { ns } = lab.client(3)
    const other = ns.start([process.execPath, '-e', HOLD_PORT], { name: 'other-program' })
    await other.waitForOutput(/bound/)
    const again = await startAgent(lab, lab.client(3), { hostname: 'box' })
    const told = await until(
      async () => {
        const said = JSON.parse((await again.cli('doctor', '--json')).stdout) as Told
        return said.cause === 'udp-port-in-use' ? said : undefined
      },
      { timeoutMs: DIAGNOSIS_MS, what: 'the port to be named' },
    )
    assert.match(told.nextStep ?? '', /--port/)
  })
})

test('what a stock client tells of its network counts like ours', stock, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'easy' }, { nat: 'hard' }, { nat: 'blk' }] })
  t.after(() => lab.close())
  const { coord, join } = await startNetwork(t, lab)
  const home = await join(lab.client(0), 'home')
  const authKey = await coord.createAuthKey('anna', { reusable: true })
  const clients: Tailscaled[] = []
  for (const [site, hostname] of [
    [1, 'stock-hard'],
    [2, 'stock-blocked'],
  ] as const) {
    const client = await startTailscaled(lab, lab.client(site), { version: 'new', hostname })
    await client.up({ loginServer: coord.url, authKey })
    clients.push(client)
  }
  // One answer that a busy machine lost, and a stock client does not know its router for minutes.
  const again = setInterval(() => {
    for (const client of clients) void client.cli('debug', 'restun')
    void home.cli('netcheck')
  }, 12_000)
  t.after(() => clearInterval(again))
  await names(home, 'stock-hard', 'hard-there')
  await names(home, 'stock-blocked', 'udp-blocked-there')
  clearInterval(again)
})
