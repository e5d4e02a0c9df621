// A question to the router's UDP port for mappings and its answer, from a socket of its own.

import type { Clock } from '../base/clock.ts'
import { joinEndpoint } from '../base/endpoint.ts'
import { WireError } from '../wire/codec.ts'
import { NAT_PMP_PORT } from '../wire/natpmp/message.ts'
import type { Gateway, PortmapIo } from './portmap-io.ts'

/** A router answers within a few ms; Wi-Fi loses a packet now and then. RFC 6886 §3.1 doubles from 250 ms too. */
const TRY_MS = [250, 500]
/** A flood from the router's address is not read to its end. */
const MOST_PACKETS = 64

export interface ExchangeParts {
  readonly clock: Clock
  readonly io: PortmapIo
  readonly gateway: Gateway
}

/** `read` answers undefined, or throws a WireError, for what is not the answer. Resolves undefined when none came. */
export function ask<T>(
  { clock, io, gateway }: ExchangeParts,
  request: Uint8Array,
  read: (bytes: Uint8Array) => T | undefined,
  signal: AbortSignal,
): Promise<T | undefined> {
  if (signal.aborted) return Promise.resolve(undefined)
  return new Promise((resolve) => {
    const server = joinEndpoint(gateway.address, NAT_PMP_PORT)
    let packets = 0
    let cancel = (): void => {}
    const end = (answer: T | undefined): void => {
      cancel()
      signal.removeEventListener('abort', giveUp)
      port.close()
      resolve(answer)
    }
    const giveUp = (): void => end(undefined)
    const port = io.openUdp(gateway.ownAddress, (from, bytes) => {
      if (from !== server || ++packets > MOST_PACKETS) return
      const answer = readOrNothing(read, bytes)
      if (answer !== undefined) end(answer)
    })
    const send = (round: number): void => {
      const waitMs = TRY_MS[round]
      if (waitMs === undefined) {
        giveUp()
        return
      }
      port.send(server, request)
      cancel = afterReading(clock, waitMs, () => send(round + 1))
    }
    signal.addEventListener('abort', giveUp, { once: true })
    send(0)
  })
}

/**
 * Like `clock.after`, but what came in meanwhile is read first: after a pause of the whole program, timers are run before
 * sockets are read, and an answer in time would look late.
 */
export function afterReading(clock: Clock, delayMs: number, callback: () => void): () => void {
  let cancel = clock.after(delayMs, () => {
    cancel = clock.after(1, callback)
  })
  return () => cancel()
}

export function readOrNothing<T>(read: (bytes: Uint8Array) => T, bytes: Uint8Array): T | undefined {
  try {
    return read(bytes)
  } catch (error) {
    if (error instanceof WireError) return undefined
    throw error
  }
}
