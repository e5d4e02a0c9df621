// What the relay's way out carries. A machine outside is sent pings as long as full packets, at a rate that grows from round to
// round; any client, also a stock one, answers each with a short pong. Where the pongs come slower than the pings went, the
// pongs' pace is what the way carries. Bounded: a megabyte and a half, and some seconds.

import type { Clock } from '../base/clock.ts'
import { toHex } from '../base/bytes.ts'
import type { Endpoint } from '../base/endpoint.ts'
import { isCoded } from '../base/errors.ts'
import type { SharedBox } from '../crypto/box.ts'
import type { DiscoPublic, NodePublic } from '../crypto/keys.ts'
import type { RelayService } from '../relay/relay-service.ts'
import { discoSender, openDisco, sealDisco } from '../wire/disco/envelope.ts'

/** What came to the relay's port outside any session. `bytes` are only valid during the call. */
export interface Knock {
  readonly from: Endpoint
  readonly bytes: Uint8Array
  /** Taken below JavaScript. */
  readonly receivedAtMs: number
}

const MBIT = 125_000
/** Bytes per second. Above the last one JavaScript at the other end would be what is measured. */
const RATES = [1, 2, 5, 10, 20, 50].map((mbit) => mbit * MBIT)
const ROUND_MS = 120
/** Packets that leave at once; a home router's queue holds far more. */
const STEP_MS = 2
/** What a full packet has, with the headers of IP and UDP. Fits IPv6's smallest MTU. */
const PACKET_BYTES = 1_228
const HEADER_BYTES = 28
/** Envelope, nonce, tag, type, version and the ping's own fields. */
const PADDING_BYTES = PACKET_BYTES - HEADER_BYTES - (6 + 32 + 24 + 16 + 2 + 12 + 32)
/** After the last ping of a round; a queue that fills in a round is empty again by then, or has dropped. */
const ANSWER_MS = 900
/** So few pongs say nothing. */
const LEAST_PONGS = 6
/** Pongs that are so much fewer than the pings, or so much slower, show a way that is full. */
const FULL = { arrived: 0.85, pace: 0.93 }

export interface CapacityParts {
  readonly clock: Clock
  readonly service: Pick<RelayService, 'ask' | 'expect'>
  readonly discoKey: DiscoPublic
  readonly nodeKey: NodePublic
  /** Shared with the machine that answers. */
  readonly box: SharedBox
  readonly peer: DiscoPublic
  /** From where it knocked. */
  readonly at: Endpoint
  readonly onKnock: (listener: (knock: Knock) => void) => () => void
}

export interface Capacity {
  readonly bytesPerSecond: number
  /** The way was never full: it carries at least this. */
  readonly isLeast: boolean
}

/** Undefined when the machine does not answer. */
export async function measureCapacity(parts: CapacityParts): Promise<Capacity | undefined> {
  let best: number | undefined
  for (const rate of RATES) {
    const { sent, arrived, pace, sentPace } = await round(parts, rate)
    if (arrived < LEAST_PONGS) break
    // A busy machine sends slower than it means to.
    const isFull = arrived < FULL.arrived * sent || pace < FULL.pace * Math.min(rate, sentPace)
    if (isFull) return { bytesPerSecond: pace, isLeast: false }
    best = rate
  }
  return best === undefined ? undefined : { bytesPerSecond: best, isLeast: true }
}

interface Round {
  readonly sent: number
  readonly arrived: number
  /** Bytes per second, of pings as their pongs arrived and as they were sent. */
  readonly pace: number
  readonly sentPace: number
}

async function round(
  { clock, service, discoKey, nodeKey, box, peer, at, onKnock }: CapacityParts,
  rate: number,
): Promise<Round> {
  const count = Math.max(Math.round((rate * ROUND_MS) / 1_000 / PACKET_BYTES), 2 * LEAST_PONGS)
  const waiting = new Set<string>()
  const pings = Array.from({ length: count }, () => {
    const txId = globalThis.crypto.getRandomValues(new Uint8Array(12))
    waiting.add(toHex(txId))
    return sealDisco(discoKey, box, { kind: 'ping', txId, nodeKey, paddingBytes: PADDING_BYTES })
  })
  service.expect(at, count)
  const times: number[] = []
  return new Promise((resolve) => {
    const startedMs = clock.now()
    let next = 0
    let sentMs = startedMs
    let cancel = (): void => {}
    const stop = onKnock(({ bytes, receivedAtMs }) => {
      const answered = discoSender(bytes)?.equals(peer) === true ? pongOf(bytes, box) : undefined
      if (answered === undefined || !waiting.delete(answered)) return
      times.push(receivedAtMs)
      if (waiting.size === 0) end()
    })
    const end = (): void => {
      stop()
      cancel()
      const paceOf = (packets: number, ms: number): number => ((packets - 1) * PACKET_BYTES * 1_000) / Math.max(ms, 0.1)
      const pace = paceOf(times.length, (times.at(-1) ?? 0) - (times[0] ?? 0))
      resolve({ sent: count, arrived: times.length, pace, sentPace: paceOf(count, sentMs - startedMs) })
    }
    const send = (): void => {
      const due = Math.min(count, Math.ceil(((clock.now() - startedMs + STEP_MS) * rate) / 1_000 / PACKET_BYTES))
      for (; next < due; next++) {
        const ping = pings[next]
        if (ping) service.ask(at, ping)
      }
      sentMs = next < count ? sentMs : clock.now()
      cancel = clock.after(next < count ? STEP_MS : ANSWER_MS, next < count ? send : end)
    }
    send()
  })
}

/** The transaction that a pong answers. */
function pongOf(bytes: Uint8Array, box: SharedBox): string | undefined {
  try {
    const message = openDisco(bytes, box)
    return message?.kind === 'pong' ? toHex(message.txId) : undefined
  } catch (error) {
    if (isCoded(error)) return undefined
    throw error
  }
}
