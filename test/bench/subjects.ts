// The tunnels that are compared. Each gets two namespaces of its own joined by one veth pair, so that what one leaves
// in the kernel (rules, routes) cannot slow another.

import { existsSync } from 'node:fs'
import { generateKeyPairSync } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { addressOf, pingUntil } from '../lab/mesh-node.ts'
import type { Namespace, Namespaces } from '../lab/netns.ts'
import { stockUnavailable, stockVersion } from '../stock/binaries.ts'
import { startDerper } from '../stock/derper.ts'
import { startHeadscale } from '../stock/headscale.ts'
import { startTailscaled } from '../stock/tailscaled.ts'
import { startWireguardGo } from '../stock/wireguard-go.ts'
import type { Ends } from './measure.ts'

export interface Subject {
  readonly name: string
  /** Why it cannot run here. */
  readonly unavailable: string | undefined
  setUp(nets: Namespaces): Promise<Ends>
}

const LINK_A = '10.99.0.1'
const LINK_B = '10.99.0.2'
const UDP_PORT = 51_820
const TUNNEL_MTU_BYTES = 1_280
const ADDON = fileURLToPath(new URL('../../native/peerway.node', import.meta.url))
const DRIVER = fileURLToPath(new URL('our-tunnel.ts', import.meta.url))

async function pair(nets: Namespaces, name: string): Promise<{ a: Namespace; b: Namespace }> {
  const [a, b] = [await nets.create(`${name}-a`), await nets.create(`${name}-b`)]
  await nets.veth({ ns: a, name: 'eth0', cidrs: [`${LINK_A}/24`] }, { ns: b, name: 'eth0', cidrs: [`${LINK_B}/24`] })
  return { a, b }
}

const veth: Subject = {
  name: 'bare veth',
  unavailable: undefined,
  async setUp(nets) {
    const { a, b } = await pair(nets, 'veth')
    return { client: a, server: b, address: LINK_B }
  },
}

function keyPair(): { privateKey: Uint8Array; publicKey: Uint8Array } {
  const jwk = generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' })
  return { privateKey: Buffer.from(jwk.d ?? '', 'base64url'), publicKey: Buffer.from(jwk.x ?? '', 'base64url') }
}

const wireguardGo: Subject = {
  name: `wireguard-go ${stockVersion('wireguard-go').slice(-12)}`,
  unavailable: stockUnavailable('wireguard-go'),
  async setUp(nets) {
    const { a, b } = await pair(nets, 'wg')
    const [keysA, keysB] = [keyPair(), keyPair()]
    const ends = [
      { ns: a, keys: keysA, peer: keysB, own: '10.201.0.1', other: '10.201.0.2', link: LINK_B, tun: 'a' },
      { ns: b, keys: keysB, peer: keysA, own: '10.201.0.2', other: '10.201.0.1', link: LINK_A, tun: 'b' },
    ]
    for (const { ns, keys, peer, own, other, link, tun } of ends) {
      const options = { tun: `pwb${process.pid}${tun}`, privateKey: keys.privateKey, listenPort: UDP_PORT }
      const wireguard = await startWireguardGo(ns, options)
      await wireguard.setPeer({
        publicKey: peer.publicKey,
        allowedIps: [`${other}/32`],
        endpoint: `${link}:${UDP_PORT}`,
      })
      await ns.ip(`addr add ${own}/24 dev ${wireguard.tun}`, `link set ${wireguard.tun} up`)
    }
    return { client: a, server: b, address: '10.201.0.2' }
  },
}

/**
 * Control and DERP are in a third namespace that forwards nothing, each end has its own cable to it: the veth pair is
 * the only way between the two.
 */
const tailscaled: Subject = {
  name: `tailscaled ${stockVersion('tailscale-new')}`,
  unavailable: stockUnavailable('tailscale-new', 'tailscale-old', 'headscale'),
  async setUp(nets) {
    const { a, b } = await pair(nets, 'ts')
    const control = await nets.create('ts-control')
    const address = '10.77.0.10'
    await control.ip(`addr add ${address}/32 dev lo`)
    for (const [index, ns] of [a, b].entries()) {
      const subnet = `10.77.${index + 1}`
      await nets.veth(
        { ns, name: 'ctl0', cidrs: [`${subnet}.1/24`] },
        { ns: control, name: `end${index}`, cidrs: [`${subnet}.254/24`] },
      )
      // Many programs take a machine without a default route for offline; this one ends where nothing is forwarded.
      await ns.ip(`route add default via ${subnet}.254`)
    }
    const host = { ns: control, address, address6: undefined }
    const derper = await startDerper(nets, host)
    const headscale = await startHeadscale(nets, host, { derpMap: derper.derpMap })
    const authKey = await headscale.createAuthKey(await headscale.createUser('bench'), { reusable: true })
    const [clientA, clientB] = [
      await startTailscaled(
        nets,
        { ns: a, address: LINK_A, address6: undefined },
        { version: 'new', hostname: 'end-a' },
      ),
      await startTailscaled(
        nets,
        { ns: b, address: LINK_B, address6: undefined },
        { version: 'new', hostname: 'end-b' },
      ),
    ]
    for (const client of [clientA, clientB]) await client.up({ loginServer: headscale.url, authKey })
    const target = await addressOf(clientB)
    await pingUntil(clientA, clientB, 'direct', 30_000)
    const path = (await clientA.peer('end-b'))?.CurAddr ?? ''
    if (!path.startsWith(`${LINK_B}:`))
      throw new Error(`tailscaled reaches its peer at "${path}", not over the veth pair`)
    return { client: a, server: b, address: target }
  },
}

function oursUnavailable(): string | undefined {
  return existsSync(ADDON) ? undefined : 'the addon is not built (npm run build)'
}

/** Our data plane alone: its control side only sets the peer and a direct path. */
const ours: Subject = {
  name: 'ours',
  unavailable: oursUnavailable(),
  async setUp(nets) {
    const { a, b } = await pair(nets, 'our')
    const [keysA, keysB] = [keyPair(), keyPair()]
    const ends = [
      { ns: a, keys: keysA, peer: keysB, own: '10.202.0.1', other: '10.202.0.2', link: LINK_B },
      { ns: b, keys: keysB, peer: keysA, own: '10.202.0.2', other: '10.202.0.1', link: LINK_A },
    ]
    for (const { ns, keys, peer, own, other, link } of ends) {
      const config = {
        privateKey: Buffer.from(keys.privateKey).toString('hex'),
        peerKey: Buffer.from(peer.publicKey).toString('hex'),
        tun: 'peerway0',
        mtuBytes: TUNNEL_MTU_BYTES,
        udpPort: UDP_PORT,
        ownAddress: own,
        peerAddress: other,
        endpoint: `${link}:${UDP_PORT}`,
      }
      const driver = ns.start([process.execPath, '--import', 'tsx', DRIVER], {
        name: `ours-${ns.role}`,
        env: { PEERWAY_BENCH_TUNNEL: JSON.stringify(config) },
      })
      await driver.waitForOutput(/^ready$/m)
      await ns.ip(`addr add ${own}/24 dev peerway0`, `link set peerway0 mtu ${config.mtuBytes} up`)
    }
    return { client: a, server: b, address: '10.202.0.2' }
  },
}

export const SUBJECTS: readonly Subject[] = [veth, wireguardGo, tailscaled, ours]
