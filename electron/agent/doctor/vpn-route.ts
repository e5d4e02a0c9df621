// Whether our packets leave by another VPN. Asked of the kernel, because VPNs take the default route in several ways: a
// default route in the main table, two halves of it, or a table of their own.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from '../../os/run.ts'

/** An address for documentation, RFC 5737: nobody has a route of its own to it. */
const SOMEWHERE = '192.0.2.1'
const INTERFACES = '/sys/class/net'

/** The name of a VPN's interface that packets with our mark take; undefined when they take none, or where nobody can tell. */
export async function vpnOnRoute(firewallMark: number): Promise<string | undefined> {
  const { status, stdout } = await run('ip', ['-j', '-4', 'route', 'get', SOMEWHERE, 'mark', String(firewallMark)])
  const name = status === 0 ? routeDevice(stdout) : undefined
  return name !== undefined && isVpnInterface(name, INTERFACES) ? name : undefined
}

export function routeDevice(json: string): string | undefined {
  try {
    const [route]: unknown[] = JSON.parse(json) as unknown[]
    if (typeof route !== 'object' || route === null || !('dev' in route)) return undefined
    const { dev } = route
    return typeof dev === 'string' && /^[^/\s]{1,15}$/.test(dev) ? dev : undefined
  } catch {
    return undefined
  }
}

/**
 * TUN devices and WireGuard's. PPP is left out: a modem or the dial-up of a provider looks the same, and is what people reach the
 * internet by.
 */
export function isVpnInterface(name: string, interfaces: string): boolean {
  if (existsSync(join(interfaces, name, 'tun_flags'))) return true
  try {
    return readFileSync(join(interfaces, name, 'uevent'), 'utf8').includes('DEVTYPE=wireguard\n')
  } catch {
    return false
  }
}
