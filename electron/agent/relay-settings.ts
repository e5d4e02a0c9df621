// The relay part of the settings: what a wish makes of them, how they are kept, and what is shown while nothing runs.

import { canonicalEndpoint, type Endpoint, splitEndpoint } from '../base/endpoint.ts'
import { CodedError } from '../base/errors.ts'
import type { SetArgument } from '../contract/calls.ts'
import type { RelayMannersView, RelayStatusView } from '../contract/relay-view.ts'
import { parseHours } from '../relay/hours.ts'
import { DEFAULT_MANNERS, type Manners } from '../relay/manners.ts'

/** This node as a relay for others. */
export interface RelaySettings {
  /** Undefined is off, 0 lets the system pick. */
  readonly port: number | undefined
  /** Always offered, before what is found. */
  readonly staticEndpoints: readonly Endpoint[]
  /** 0 for no limit. */
  readonly bytesPerSecond: number
  /** Never set: DEFAULT_MANNERS. */
  readonly manners?: Manners | undefined
}

/** Throws 'agent/bad-endpoint' for an address that is none, and 'relay/bad-hours'. */
export function changedRelay(before: RelaySettings | undefined, wish: SetArgument): RelaySettings {
  const manners = changedManners(before?.manners, wish)
  return {
    port: wish.relayServer ? wish.relayServer.port : before?.port,
    staticEndpoints: wish.relayServerStaticEndpoints?.map(endpointOf) ?? before?.staticEndpoints ?? [],
    bytesPerSecond: wish.relayLimitBytesPerSecond ?? before?.bytesPerSecond ?? 0,
    ...(manners ? { manners } : {}),
  }
}

function changedManners(before: Manners | undefined, wish: SetArgument): Manners | undefined {
  const { relayMonthlyBytes, relayHours, relayPauseOnBattery, relayPauseOnMetered } = wish
  const isNamed = [relayMonthlyBytes, relayHours, relayPauseOnBattery, relayPauseOnMetered].some(
    (value) => value !== undefined,
  )
  if (!isNamed) return before
  const from = before ?? DEFAULT_MANNERS
  return {
    monthlyBytes: relayMonthlyBytes ?? from.monthlyBytes,
    hours: relayHours === undefined ? from.hours : parseHours(relayHours).text,
    pauseOnBattery: relayPauseOnBattery ?? from.pauseOnBattery,
    pauseOnMetered: relayPauseOnMetered ?? from.pauseOnMetered,
  }
}

function endpointOf(text: string): Endpoint {
  const endpoint = canonicalEndpoint(text.trim())
  if (endpoint === undefined || (splitEndpoint(endpoint)?.port ?? 0) === 0)
    throw new CodedError(
      'agent/bad-endpoint',
      `"${text}" is not an address with a port. It looks like 192.0.2.1:40000 or [2001:db8::1]:40000.`,
    )
  return endpoint
}

/** As JSON for the state file. */
export const encodeRelay = (relay: RelaySettings): unknown => ({ ...relay, port: relay.port ?? null })

/** Throws an Error that says what is wrong. */
export function decodeRelay(value: unknown): RelaySettings | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'object') throw new Error('the relay settings are not an object')
  const { port, staticEndpoints, bytesPerSecond, manners } = value as Record<string, unknown>
  const isPort = (number: unknown): number is number =>
    typeof number === 'number' && Number.isInteger(number) && number >= 0 && number <= 65_535
  if (port !== null && port !== undefined && !isPort(port)) throw new Error('the relay port is none')
  if (!Array.isArray(staticEndpoints)) throw new Error('the relay endpoints are not a list')
  return {
    port: port ?? undefined,
    staticEndpoints: staticEndpoints.flatMap((text) =>
      typeof text === 'string' ? (canonicalEndpoint(text) ?? []) : [],
    ),
    bytesPerSecond: countOf(bytesPerSecond),
    ...(typeof manners === 'object' && manners !== null ? { manners: decodeManners(manners) } : {}),
  }
}

function decodeManners(value: object): Manners {
  const { monthlyBytes, hours, pauseOnBattery, pauseOnMetered } = value as Record<string, unknown>
  return {
    monthlyBytes: countOf(monthlyBytes),
    hours: typeof hours === 'string' ? parseHours(hours).text : '',
    pauseOnBattery: pauseOnBattery !== false,
    pauseOnMetered: pauseOnMetered !== false,
  }
}

const countOf = (value: unknown): number => (typeof value === 'number' && value > 0 ? Math.floor(value) : 0)

/** `manners` as far as they are known while no relay runs. */
export function relayOff(
  settings: RelaySettings | undefined,
  manners: RelayMannersView = NO_MANNERS,
  mapsPorts = true,
): RelayStatusView {
  return {
    state: 'off',
    wantedPort: settings?.port,
    staticEndpoints: settings?.staticEndpoints ?? [],
    limitBytesPerSecond: settings?.bytesPerSecond ?? 0,
    problem: undefined,
    pause: undefined,
    manners,
    mapsPorts,
    ...NOT_RUNNING,
  }
}

const NO_MANNERS: RelayMannersView = {
  ...DEFAULT_MANNERS,
  usedBytes: 0,
  renewsAt: 0,
  power: 'unknown',
  metered: 'unknown',
}

/** What is only known while it runs. */
export const NOT_RUNNING = {
  port: undefined,
  endpoints: [],
  mapping: 'unknown',
  portMapped: undefined,
  portMappedVia: undefined,
  portMapRefusal: undefined,
  sessions: [],
  totals: {},
} as const satisfies Partial<RelayStatusView>
