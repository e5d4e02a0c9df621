import { networkInterfaces } from 'node:os'
import { isV6, joinEndpoint } from '../base/endpoint.ts'
import { CoordError } from './errors.ts'

/** Bridges of containers and virtual machines, and tunnels: nobody in the local network reaches us there. */
const VIRTUAL = /^(docker|br-|veth|virbr|vmnet|vboxnet|lxc|lxd|podman|cni|tun|tap|wg|tailscale|peerway|utun)/

/** Scheme, host and port; throws CoordError for what machines could not reach a server by. */
export function checkedUrl(text: string): string {
  const parsed = URL.canParse(text) ? new URL(text) : undefined
  if (!parsed || !/^https?:$/.test(parsed.protocol) || parsed.username || parsed.search || parsed.hash)
    throw new CoordError('coord/bad-config', `"${text}" is not an address like https://net.example.org.`)
  if (parsed.pathname !== '/')
    throw new CoordError('coord/bad-config', `The address "${text}" must not have a path: machines ask below its root.`)
  return parsed.origin
}

/** The URL of a server that was given none. */
export function ownUrl(host: string, port: number): string {
  return `http://${joinEndpoint(reachableHost(host), port)}`
}

/** The name or address, without brackets, by which others reach a server: of its URL, else of where it listens. */
export function publicHost(listenHost: string, url: string | undefined): string {
  return url === undefined ? reachableHost(listenHost) : new URL(checkedUrl(url)).hostname.replaceAll(/[[\]]/g, '')
}

/** Where a server listens on all addresses, one that others in the local network can use. */
function reachableHost(host: string): string {
  if (host !== '0.0.0.0' && host !== '::') return host
  const all = Object.entries(networkInterfaces())
    .filter(([name]) => !VIRTUAL.test(name))
    .flatMap(([, addresses]) => addresses ?? [])
  const lan = all.find(({ internal, address }) => !internal && !isV6(address) && !/^(169\.254|100\.)/.test(address))
  return lan?.address ?? '127.0.0.1'
}
