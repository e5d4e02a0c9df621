// One handshake with a peer relay, as a state machine without I/O (paths.md §6.7): Bind to every address of the relay, Answer
// to the first Challenge, then pings through the relay until the peer answers one. Each packet is sent again until the next
// one shows that it arrived: stock clients send each once, and one lost packet costs them the whole attempt.

import type { Endpoint } from '../base/endpoint.ts'

/** Pauses before a Bind is sent again; a relay that leaves all of them unanswered is not there, or not reachable. */
const BIND_PAUSES_MS = [200, 400, 800, 1_600, 3_000] as const
/** The same for Answer and ping. The peer hears of the relay over DERP and may be slow to bind. */
const PING_PAUSES_MS = [200, 300, 500, 500, 1_000, 1_000, 1_500, 2_000, 3_000, 4_000, 5_000, 5_000] as const
/** Between two pings that pings of the peer draw. */
const DRAWN_PING_MS = 100
const MOST_DRAWN_PINGS = 10

export interface Handshake {
  readonly endpoints: readonly Endpoint[]
  /** Where the relay answered from, and with what. */
  readonly bound: { readonly endpoint: Endpoint; readonly challenge: Uint8Array } | undefined
  /** How often the present packet was sent again. */
  readonly tries: number
  readonly wakeAtMs: number
  readonly drawn: { readonly pings: number; readonly atMs: number }
}

export type HandshakeInput =
  | { readonly type: 'challenge'; readonly from: Endpoint; readonly challenge: Uint8Array }
  /** The peer's ping came through the relay: it is bound now, and so are we. */
  | { readonly type: 'peer-ping' }
  | { readonly type: 'tick' }

export type HandshakeEffect =
  | { readonly type: 'bind'; readonly endpoint: Endpoint }
  | { readonly type: 'answer'; readonly endpoint: Endpoint; readonly challenge: Uint8Array }
  | { readonly type: 'ping'; readonly endpoint: Endpoint }
  | { readonly type: 'failed'; readonly why: 'no-challenge' | 'no-pong' }

export interface HandshakeStep {
  readonly handshake: Handshake
  readonly effects: readonly HandshakeEffect[]
}

const binds = (endpoints: readonly Endpoint[]): HandshakeEffect[] =>
  endpoints.map((endpoint) => ({ type: 'bind', endpoint }))

export function beginHandshake(endpoints: readonly Endpoint[], nowMs: number): HandshakeStep {
  const handshake: Handshake = {
    endpoints,
    bound: undefined,
    tries: 0,
    wakeAtMs: nowMs + BIND_PAUSES_MS[0],
    drawn: { pings: 0, atMs: -Infinity },
  }
  return { handshake, effects: binds(endpoints) }
}

export function stepHandshake(handshake: Handshake, input: HandshakeInput, nowMs: number): HandshakeStep {
  const { bound, drawn } = handshake
  switch (input.type) {
    case 'challenge': {
      if (bound) return { handshake, effects: [] }
      const next = { endpoint: input.from, challenge: input.challenge }
      return {
        handshake: { ...handshake, bound: next, tries: 0, wakeAtMs: nowMs + PING_PAUSES_MS[0] },
        effects: answerAndPing(next),
      }
    }
    case 'peer-ping':
      if (!bound || drawn.pings >= MOST_DRAWN_PINGS || nowMs - drawn.atMs < DRAWN_PING_MS)
        return { handshake, effects: [] }
      return {
        handshake: { ...handshake, drawn: { pings: drawn.pings + 1, atMs: nowMs } },
        effects: [{ type: 'ping', endpoint: bound.endpoint }],
      }
    case 'tick':
      return tick(handshake, nowMs)
  }
}

function tick(handshake: Handshake, nowMs: number): HandshakeStep {
  const { bound, endpoints, wakeAtMs } = handshake
  if (nowMs < wakeAtMs) return { handshake, effects: [] }
  const pauses: readonly number[] = bound ? PING_PAUSES_MS : BIND_PAUSES_MS
  const tries = handshake.tries + 1
  if (tries > pauses.length)
    return { handshake, effects: [{ type: 'failed', why: bound ? 'no-pong' : 'no-challenge' }] }
  return {
    handshake: { ...handshake, tries, wakeAtMs: nowMs + (pauses[tries] ?? pauses.at(-1) ?? 1_000) },
    effects: bound ? answerAndPing(bound) : binds(endpoints),
  }
}

/** An Answer that did arrive is harmless when it comes again: the relay has no handshake under way then. */
const answerAndPing = (bound: { endpoint: Endpoint; challenge: Uint8Array }): HandshakeEffect[] => [
  { type: 'answer', endpoint: bound.endpoint, challenge: bound.challenge },
  { type: 'ping', endpoint: bound.endpoint },
]
