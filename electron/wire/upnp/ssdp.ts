// SSDP: who here is an Internet gateway device? A question over UDP port 1900 in the form of an HTTP request, answered by a
// datagram in the form of an HTTP response, whose LOCATION is where the device's description is. Reference: UPnP Device
// Architecture 2.0, section 1.3.

import { fromUtf8, utf8 } from '../../base/bytes.ts'
import { WireError } from '../codec.ts'

export const SSDP_PORT = 1900
export const SSDP_GROUP = '239.255.255.250'
/** Devices answer after a random wait of up to this long, so that not all speak at once; the least the standard has. */
const MOST_WAIT_SECONDS = 1
/** No device says more of itself; the answer must fit a datagram. */
const MOST_BYTES = 4_096
const MOST_LINES = 64

/** A search for version 1 must be answered by version 2 too; some devices answer only the search for everything. */
export const SSDP_TARGETS = ['urn:schemas-upnp-org:device:InternetGatewayDevice:1', 'ssdp:all'] as const

export function ssdpSearch(target: (typeof SSDP_TARGETS)[number]): Uint8Array {
  return utf8(
    [
      'M-SEARCH * HTTP/1.1',
      `HOST: ${SSDP_GROUP}:${SSDP_PORT}`,
      `ST: ${target}`,
      'MAN: "ssdp:discover"',
      `MX: ${MOST_WAIT_SECONDS}`,
      '',
      '',
    ].join('\r\n'),
  )
}

export interface SsdpAnswer {
  /** What answered: "urn:schemas-upnp-org:device:InternetGatewayDevice:1". */
  readonly target: string
  readonly location: string
  readonly server: string
}

/** Throws WireError. */
export function readSsdpAnswer(bytes: Uint8Array): SsdpAnswer {
  if (bytes.length > MOST_BYTES) throw new WireError('wire/too-long', `An SSDP answer of ${bytes.length} bytes.`)
  const lines = fromUtf8(bytes).split('\n', MOST_LINES)
  if (!/^HTTP\/1\.[01] 200\b/.test(lines[0] ?? '')) throw new WireError('wire/bad-value', 'Not an SSDP answer.')
  const headers = new Map<string, string>()
  for (const line of lines.slice(1)) {
    const colon = line.indexOf(':')
    const name = line.slice(0, Math.max(colon, 0)).trim().toLowerCase()
    if (name !== '' && !headers.has(name)) headers.set(name, line.slice(colon + 1).trim())
  }
  const [target, location] = [headers.get('st') ?? '', headers.get('location') ?? '']
  if (location === '') throw new WireError('wire/bad-value', 'An SSDP answer without a location.')
  return { target, location, server: headers.get('server') ?? '' }
}

export const isGatewayDevice = (answer: SsdpAnswer): boolean => answer.target.includes(':InternetGatewayDevice:')
