// Where a proxy of this machine leads: into the network and what lies behind it, and nowhere else.

import { canonicalIp, ipToBytes, type IpAddress, parsePrefix, prefixContains } from '../../base/endpoint.ts'
import { CodedError } from '../../base/errors.ts'
import { isDefaultRoute } from '../../base/prefix.ts'
import type { AgentSnapshot, PeerView } from '../../contract/snapshot.ts'

/** All addresses of a name that is none of the network. */
export type Resolve = (name: string) => Promise<readonly string[]>

/** The address to connect to; throws 'proxy/not-connected', 'proxy/not-there' or 'proxy/no-name'. */
export async function addressFor(host: string, snapshot: AgentSnapshot, resolve: Resolve): Promise<IpAddress> {
  if (snapshot.state !== 'running')
    throw new CodedError('proxy/not-connected', 'This machine is not connected to its network. Connect: peerway up')
  const name = host.toLowerCase().replace(/^\[|\]$|\.$/g, '')
  const literal = canonicalIp(name)
  const known = literal === undefined ? ownAddressesOf(name, snapshot) : [literal]
  const found = known.length > 0 ? known : await lookedUp(name, resolve)
  const reached = found.find((address) => isReached(address, snapshot))
  if (reached === undefined)
    throw new CodedError('proxy/not-there', `${host} is not in this network, nor behind a machine of it that is used.`)
  return reached
}

function ownAddressesOf(name: string, { peers }: AgentSnapshot): readonly IpAddress[] {
  const all = Object.values(peers)
  const peer = all.find(({ dnsName }) => dnsName.toLowerCase() === name) ?? all.find((one) => one.name === name)
  return peer?.addresses.flatMap((address) => canonicalIp(address) ?? []) ?? []
}

async function lookedUp(name: string, resolve: Resolve): Promise<readonly IpAddress[]> {
  try {
    return (await resolve(name)).flatMap((address) => canonicalIp(address) ?? [])
  } catch (error) {
    throw new CodedError('proxy/no-name', `There is no machine "${name.slice(0, 253)}".`, { cause: error })
  }
}

function isReached(address: IpAddress, { peers, routing }: AgentSnapshot): boolean {
  const bytes = ipToBytes(address)
  const covers = (prefix: string): boolean => {
    const parsed = parsePrefix(prefix)
    return bytes !== undefined && parsed !== undefined && prefixContains(parsed, bytes)
  }
  const isUsed = (peer: PeerView, prefix: string): boolean =>
    isDefaultRoute(prefix) ? routing?.exitNode === peer.id : routing?.acceptRoutes === true
  return Object.values(peers).some(
    (peer) =>
      peer.addresses.includes(address) || peer.allowedIps.some((prefix) => isUsed(peer, prefix) && covers(prefix)),
  )
}
