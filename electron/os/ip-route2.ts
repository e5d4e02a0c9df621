// Building the commands of iproute2 and reading its JSON: pure, so that it is tested everywhere.

import { canonicalIp, parsePrefix } from '../base/endpoint.ts'
import type { HostConfig } from './host-network.ts'

/**
 * Routing table and rule priorities of ours. The table keeps tunnel routes apart from the system's own; the first rule lets
 * marked packets (our own sockets) skip it. Numbers are chosen not to meet those of other mesh clients on the same machine
 * (table 52, priorities 5210 to 5270).
 */
export const TABLE = 7152
export const PRIORITY_SKIP_MARKED = 5310
export const PRIORITY_TUNNEL = 5320

/** What `ip -j addr show dev X` and `ip -j route show table N` said. */
export interface Found {
  readonly up: boolean
  readonly mtuBytes: number
  readonly addresses: readonly string[]
  readonly routes: readonly string[]
  /** What passes our table by. */
  readonly excluded: readonly string[]
}

export function readAddresses(json: string): { up: boolean; mtuBytes: number; addresses: string[] } | undefined {
  const link = firstObject(json)
  if (!link) return undefined
  const flags = Array.isArray(link['flags']) ? link['flags'] : []
  const list = Array.isArray(link['addr_info']) ? link['addr_info'] : []
  const addresses = list.flatMap((entry: unknown) => {
    if (typeof entry !== 'object' || entry === null) return []
    const { local, prefixlen, scope } = entry as Record<string, unknown>
    // The kernel gives every up interface a link-local IPv6 address of its own: not ours to judge.
    return typeof local === 'string' && typeof prefixlen === 'number' && scope !== 'link'
      ? [`${local}/${prefixlen}`]
      : []
  })
  return { up: flags.includes('UP'), mtuBytes: typeof link['mtu'] === 'number' ? link['mtu'] : 0, addresses }
}

/** Destinations in canonical CIDR form that leave by `device`. */
export function readRoutes(json: string, device: string, family: Family): string[] {
  const everything = family === '-4' ? '0.0.0.0/0' : '::/0'
  return parseArray(json).flatMap(({ dst, dev, type }) => {
    if (typeof dst !== 'string' || dev !== device || type === 'throw') return []
    return [dst === 'default' ? everything : canonicalPrefix(dst)]
  })
}

/** Destinations that are looked for in the next table. */
export function readExcluded(json: string): string[] {
  return parseArray(json).flatMap(({ type, dst }) =>
    type === 'throw' && typeof dst === 'string' ? [canonicalPrefix(dst)] : [],
  )
}

function parseArray(json: string): Record<string, unknown>[] {
  try {
    const value: unknown = JSON.parse(json === '' ? '[]' : json)
    return Array.isArray(value)
      ? value.filter((item): item is Record<string, unknown> => typeof item === 'object' && item !== null)
      : []
  } catch {
    return []
  }
}

const firstObject = (json: string): Record<string, unknown> | undefined =>
  parseArray(json).find((entry) => 'ifname' in entry)

/** "100.64.0.1" → "100.64.0.1/32". */
export function canonicalPrefix(text: string): string {
  const [address = '', bits] = text.split('/')
  const canonical = canonicalIp(address)
  const parsed = parsePrefix(text)
  return canonical && parsed ? `${canonical}/${bits ?? parsed.bits}` : text
}

export type Family = '-4' | '-6'

/** Lines for `ip -4 -batch` and `ip -6 -batch`: a batch is of one family. What is of the device itself stands under -4. */
export type Batches = Readonly<Record<Family, readonly string[]>>

/** What leads from `found` to `want`; empty when nothing differs. */
export function commandsFor(want: HostConfig, found: Found): Batches {
  const device = want.tunName
  const commands: Record<Family, string[]> = { '-4': [], '-6': [] }
  if (found.mtuBytes !== want.mtuBytes) commands['-4'].push(`link set dev ${device} mtu ${want.mtuBytes}`)
  if (!found.up) commands['-4'].push(`link set dev ${device} up`)
  const services = want.serviceAddresses.map(canonicalPrefix)
  const wantedAddresses = [...want.addresses.map(canonicalPrefix), ...services]
  for (const address of found.addresses.map(canonicalPrefix))
    if (!wantedAddresses.includes(address)) commands[family(address)].push(`addr del ${address} dev ${device}`)
  for (const address of wantedAddresses)
    // nodad: duplicate detection would leave the IPv6 address unusable for its first second.
    if (!found.addresses.map(canonicalPrefix).includes(address))
      commands[family(address)].push(
        // With a scope that small the kernel never takes it for the source of a packet to others.
        `addr add ${address} dev ${device}${services.includes(address) ? ' scope host' : address.includes(':') ? ' nodad' : ''}`,
      )
  const wantedRoutes = want.routes.map(canonicalPrefix)
  for (const route of found.routes)
    if (!wantedRoutes.includes(route)) commands[family(route)].push(`route del ${route} dev ${device} table ${TABLE}`)
  for (const route of wantedRoutes)
    if (!found.routes.includes(route))
      commands[family(route)].push(`route replace ${route} dev ${device} table ${TABLE}`)
  const wantedExcluded = want.excluded.map(canonicalPrefix)
  for (const route of found.excluded)
    if (!wantedExcluded.includes(route)) commands[family(route)].push(`route del throw ${route} table ${TABLE}`)
  for (const route of wantedExcluded)
    if (!found.excluded.includes(route)) commands[family(route)].push(`route add throw ${route} table ${TABLE}`)
  return commands
}

const family = (prefix: string): Family => (prefix.includes(':') ? '-6' : '-4')

/** The two rules per family; adding one that is there is refused by the kernel, so they are first looked for. */
export function ruleCommands(mark: number, presentRulesJson: string): string[] {
  const present = new Set(parseArray(presentRulesJson).map((rule) => rule['priority']))
  const commands: string[] = []
  if (mark !== 0 && !present.has(PRIORITY_SKIP_MARKED))
    commands.push(`rule add priority ${PRIORITY_SKIP_MARKED} fwmark ${hexMark(mark)} lookup main`)
  if (!present.has(PRIORITY_TUNNEL)) commands.push(`rule add priority ${PRIORITY_TUNNEL} lookup ${TABLE}`)
  return commands
}

const hexMark = (mark: number): string => `0x${mark.toString(16)}/0xff0000`

/** Undoing our routes; may fail because there are none, which is as good as done. */
export const flushRoutes = (device: string): string => `route flush table ${TABLE} dev ${device}`
export const FLUSH_EXCLUDED = `route flush table ${TABLE} type throw`

/** Undoing the rules; each may fail because it is not there. */
export const deleteRules: readonly string[] = [
  `rule del priority ${PRIORITY_TUNNEL}`,
  `rule del priority ${PRIORITY_SKIP_MARKED}`,
]

/** Whether `ip -j route show table N` lists no route into any tunnel. */
export const isEmptyTable = (json: string): boolean => parseArray(json).every(({ type }) => type === 'throw')
