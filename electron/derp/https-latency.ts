import type { Clock } from '../base/clock.ts'
import { systemClock } from '../base/clock.ts'
import { relayNodesOf, type DerpRegion } from './derp-map.ts'
import { dialNode } from './dial.ts'
import { DerpError } from './errors.ts'
import { hostHeaderOf } from './upgrade.ts'

const PROBE_MS = 5_000
const MAX_RESPONSE_BYTES = 16 * 1024

/**
 * Milliseconds of one small request over a connection that stands already: what netcheck falls back to where UDP is
 * blocked (paths.md §2.6). Rejects when the region's first node does not answer within 5 s.
 */
export async function measureHttpsLatency(
  region: DerpRegion,
  options: { readonly signal?: AbortSignal; readonly clock?: Clock } = {},
): Promise<number> {
  const clock = options.clock ?? systemClock
  const [node] = relayNodesOf(region)
  if (!node) throw new DerpError('derp/no-such-region', `DERP region ${region.RegionID} has no node that relays.`)
  const late = new AbortController()
  const cancelLate = clock.after(PROBE_MS, () =>
    late.abort(new DerpError('derp/timeout', `DERP node ${node.Name} did not answer the probe.`)),
  )
  const signal = options.signal ? AbortSignal.any([options.signal, late.signal]) : late.signal
  try {
    const socket = await dialNode(node, signal)
    try {
      const startMs = clock.now()
      socket.write(`GET /derp/latency-check HTTP/1.1\r\nHost: ${hostHeaderOf(node)}\r\nConnection: close\r\n\r\n`)
      const status = await new Promise<string>((resolve, reject) => {
        let response = ''
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
        socket.once('close', () => reject(new DerpError('derp/closed', `DERP node ${node.Name} closed at the probe.`)))
        socket.on('data', (chunk: Buffer) => {
          response += chunk.toString('latin1')
          if (response.includes('\r\n')) resolve(response.split(' ', 2)[1] ?? '')
          else if (response.length > MAX_RESPONSE_BYTES) resolve('')
        })
      })
      if (status !== '200')
        throw new DerpError('derp/protocol', `DERP node ${node.Name} answers the probe with ${status || 'no HTTP'}.`)
      return clock.now() - startMs
    } finally {
      socket.destroy()
    }
  } finally {
    cancelLate()
  }
}
