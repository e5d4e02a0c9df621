// The relay part of the settings: what a wish makes of them, and what is shown while nothing runs.

import { canonicalEndpoint, type Endpoint, splitEndpoint } from '../base/endpoint.ts'
import { CodedError } from '../base/errors.ts'
import type { SetArgument } from '../contract/calls.ts'
import type { RelayStatusView } from '../contract/relay-view.ts'
import type { RelaySettings } from './state-file.ts'

/** Throws 'agent/bad-endpoint' for an address that is none. */
export function changedRelay(before: RelaySettings | undefined, wish: SetArgument): RelaySettings {
  return {
    port: wish.relayServer ? wish.relayServer.port : before?.port,
    staticEndpoints: wish.relayServerStaticEndpoints?.map(endpointOf) ?? before?.staticEndpoints ?? [],
    bytesPerSecond: wish.relayLimitBytesPerSecond ?? before?.bytesPerSecond ?? 0,
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

export function relayOff(settings: RelaySettings | undefined): RelayStatusView {
  return {
    state: 'off',
    wantedPort: settings?.port,
    staticEndpoints: settings?.staticEndpoints ?? [],
    limitBytesPerSecond: settings?.bytesPerSecond ?? 0,
    problem: undefined,
    ...NOT_RUNNING,
  }
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
