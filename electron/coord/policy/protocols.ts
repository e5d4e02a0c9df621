// Protocols and ports as policies write them.

import { ALL_PORTS, type IpSpec, type PortRange } from './document.ts'

const TCP = 6
const UDP = 17
const SCTP = 132
export const WITH_PORTS: readonly number[] = [TCP, UDP, SCTP]
/** What a rule without protocol covers on the wire (control.md §9.1). */
export const DEFAULT_PROTOCOLS: readonly number[] = [TCP, UDP, 1, 58]

const NUMBERS: Readonly<Record<string, number>> = {
  icmp: 1,
  igmp: 2,
  ipv4: 4,
  'ip-in-ip': 4,
  tcp: TCP,
  egp: 8,
  igp: 9,
  udp: UDP,
  gre: 47,
  esp: 50,
  ah: 51,
  'ipv6-icmp': 58,
  sctp: SCTP,
  fc: 133,
}

/** Undefined when it is none; `none` for the empty text. */
export function parseProtocol(text: string): readonly number[] | undefined {
  if (text === '') return []
  const known = Object.hasOwn(NUMBERS, text.toLowerCase()) ? NUMBERS[text.toLowerCase()] : undefined
  if (known !== undefined) return [known]
  if (!/^(0|[1-9]\d{0,2})$/.test(text) || Number(text) > 255) return undefined
  return [Number(text)]
}

export const PROTOCOL_HELP = `use one of ${Object.keys(NUMBERS).join(', ')} or a number from 0 to 255`

export const takesPorts = (protocols: readonly number[]): boolean => protocols.every((one) => WITH_PORTS.includes(one))

export const isAllPorts = (ports: readonly PortRange[]): boolean =>
  ports.every(({ first, last }) => first === ALL_PORTS.first && last === ALL_PORTS.last)

/** "*", "80", "80-90", "80,443,8000-8100". Undefined when it is none of these. */
export function parsePorts(text: string): readonly PortRange[] | undefined {
  if (text === '*') return [ALL_PORTS]
  const ranges: PortRange[] = []
  for (const part of text.split(',')) {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part.trim())
    if (!match) return undefined
    const first = Number(match[1])
    const last = Number(match[2] ?? match[1])
    // Port 0 may begin a range, but is no port by itself.
    if (last > 65_535 || first > last || last === 0) return undefined
    ranges.push({ first, last })
  }
  return ranges
}

export const PORTS_HELP = 'ports are *, 80, 80-90 or 80,443'

/** One entry of a grant's `ip`: "*", "443", "tcp:443", "udp:*". A message when it is none. */
export function parseIpSpec(text: string): IpSpec | string {
  const [left, right, ...more] = text.split(':')
  if (left === undefined || more.length > 0) return `"${text}" is no protocol and port; write as in tcp:443`
  if (right === undefined) {
    const ports = parsePorts(left)
    if (ports) return { protocols: [], ports }
    const known = parseProtocol(left)
    return known && Number.isNaN(Number(left))
      ? `write ${left}:* for all of ${left}`
      : `"${text}" is no port: ${PORTS_HELP}`
  }
  const protocols = left === '' || left === '*' ? undefined : parseProtocol(left)
  if (!protocols) return `"${left}" is no protocol; ${PROTOCOL_HELP}`
  const ports = parsePorts(right)
  if (!ports) return `"${right}" is no port: ${PORTS_HELP}`
  if (!takesPorts(protocols) && !isAllPorts(ports)) return `${left} has no ports; write ${left}:*`
  return { protocols, ports }
}

export function protocolName(number: number): string {
  return Object.entries(NUMBERS).find(([, value]) => value === number)?.[0] ?? String(number)
}
