// For tests: netmaps as a server can send them.

import { applyMapResponse, type Netmap } from '../control/netmap.ts'
import { NodePrivate } from '../crypto/keys.ts'
import { mapResponse, type MapResponseInput } from '../wire/tailcfg/map-response.ts'
import type { NodeInput } from '../wire/tailcfg/node.ts'
import { readMessage } from '../wire/tailcfg/schema.ts'

export const NOW = Date.UTC(2026, 0, 1)

export function nodeOf(id: number, more: NodeInput = {}): NodeInput {
  const addresses = [`100.64.0.${id}/32`, `fd7a:115c:a1e0::${id}/128`]
  return {
    id: String(id),
    stableId: `n${id}`,
    name: `host${id}.tail.example.`,
    user: '1',
    key: NodePrivate.generate().public,
    addresses,
    machineAuthorized: true,
    ...more,
  }
}

/** Through the codec, so that what is tested is what a server can send. */
export function netmapOf(response: MapResponseInput): Netmap {
  const json: unknown = JSON.parse(JSON.stringify(mapResponse.write({ node: nodeOf(1), ...response })))
  return applyMapResponse(undefined, readMessage(mapResponse, json), NOW)
}
