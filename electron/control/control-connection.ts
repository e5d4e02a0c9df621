// HTTP/2 inside the encrypted stream (control.md §2.7): one connection, many requests side by side.

import * as http2 from 'node:http2'
import type { Duplex } from 'node:stream'
import { concat } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { abortReason } from '../base/deadline.ts'
import { ControlError } from './control-error.ts'

/** A connection that died silently is noticed within PING_EVERY_MS + PONG_WITHIN_MS, also while a sign-in is awaited. */
const PING_EVERY_MS = 30_000
const PONG_WITHIN_MS = 20_000
/** A first map of a thousand peers is about a megabyte; with the default window it would take a round trip per 64 KiB. */
const WINDOW_BYTES = 1024 * 1024

export interface ControlRequest {
  readonly method: 'GET' | 'POST' | 'HEAD'
  readonly path: string
  readonly body?: Uint8Array
  readonly headers?: Readonly<Record<string, string>>
}

export interface ControlAnswer {
  readonly status: number
  readonly headers: http2.IncomingHttpHeaders
  readonly body: Uint8Array
}

export interface ControlStream {
  readonly status: number
  /** Throws ControlError 'control/disconnected' when the answer breaks off. Leaving the loop ends the request. */
  readonly chunks: AsyncIterable<Uint8Array>
}

export class ControlConnection {
  readonly #session: http2.ClientHttp2Session
  readonly #stream: Duplex
  readonly #clock: Clock
  #stopPing: () => void

  constructor(stream: Duplex, server: URL, clock: Clock) {
    this.#clock = clock
    this.#stream = stream
    // The scheme is https whatever the server's URL says; the stream is encrypted already and no TLS is added.
    this.#session = http2.connect(`https://${server.host}`, {
      createConnection: () => stream,
      settings: { enablePush: false, initialWindowSize: WINDOW_BYTES },
    })
    this.#session.on('error', () => this.close())
    this.#session.on('goaway', () => this.#session.close())
    this.#session.once('connect', () => {
      if (!this.#session.destroyed) this.#session.setLocalWindowSize(4 * WINDOW_BYTES)
    })
    this.#session.once('close', () => this.close())
    this.#stopPing = clock.after(PING_EVERY_MS, () => this.#ping())
  }

  /** False once no further request can be sent. */
  get usable(): boolean {
    return !this.#session.closed && !this.#session.destroyed
  }

  /** At once; what is under way fails. Idempotent. */
  close(): void {
    this.#stopPing()
    this.#session.destroy()
    // The session would wait for the other side to hang up too, which a dead one never does.
    this.#stream.destroy()
  }

  /** Asks the other side whether it is there; without an answer in time the connection is given up. */
  probe(withinMs: number): void {
    this.#stopPing()
    this.#ping(withinMs)
  }

  #ping(withinMs = PONG_WITHIN_MS): void {
    if (!this.usable) return
    this.#stopPing = this.#clock.after(withinMs, () => this.close())
    this.#session.ping((error) => {
      if (error || !this.usable) return
      this.#stopPing()
      this.#stopPing = this.#clock.after(PING_EVERY_MS, () => this.#ping())
    })
  }

  /** The whole answer, of at most `maxBytes`. Throws ControlError, or the signal's reason. */
  async request(request: ControlRequest, maxBytes: number, signal: AbortSignal): Promise<ControlAnswer> {
    const { status, headers, chunks } = await this.#open(request, signal)
    const parts: Uint8Array[] = []
    let length = 0
    for await (const chunk of chunks) {
      length += chunk.length
      if (length > maxBytes)
        throw new ControlError('control/bad-answer', `The server's answer to ${request.path} is too long.`)
      parts.push(chunk)
    }
    return { status, headers, body: concat(...parts) }
  }

  /** The answer as it comes in. Throws ControlError, or the signal's reason. */
  async stream(request: ControlRequest, signal: AbortSignal): Promise<ControlStream> {
    return this.#open(request, signal)
  }

  async #open(
    { method, path, body, headers }: ControlRequest,
    signal: AbortSignal,
  ): Promise<ControlStream & { headers: http2.IncomingHttpHeaders }> {
    if (signal.aborted) throw abortReason(signal)
    let request: http2.ClientHttp2Stream
    try {
      request = this.#session.request({ ...headers, ':method': method, ':path': path }, { signal, endStream: !body })
    } catch (cause) {
      throw disconnected(cause)
    }
    const chunks = new Chunks(request, signal)
    const answered = new Promise<http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader>((resolve, reject) => {
      request.once('response', resolve)
      request.once('close', () => reject(chunks.failure ?? disconnected()))
    })
    if (body) request.end(body)
    const answer = await answered
    return { status: answer[':status'] ?? 0, headers: answer, chunks }
  }
}

/**
 * The body of an answer. Not the stream's own iterator: on Node 24 that takes an answer which came in one piece with its end
 * for a broken one.
 */
class Chunks implements AsyncIterable<Uint8Array> {
  failure: Error | undefined
  readonly #request: http2.ClientHttp2Stream
  /** At most what one read gave: the stream is paused while something waits here. */
  readonly #waiting: Uint8Array[] = []
  #closed = false
  #wake: () => void = () => {}

  constructor(request: http2.ClientHttp2Stream, signal: AbortSignal) {
    this.#request = request
    let ended = false
    request.on('data', (chunk: Uint8Array) => {
      this.#waiting.push(chunk)
      request.pause()
      this.#wake()
    })
    request.on('error', (cause) => {
      this.failure ??= signal.aborted ? abortReason(signal) : disconnected(cause)
    })
    request.on('end', () => {
      ended = true
    })
    request.on('close', () => {
      // A session that is torn down ends its streams as if they were complete.
      const whole = ended && !request.aborted && request.rstCode === http2.constants.NGHTTP2_NO_ERROR
      if (signal.aborted) this.failure ??= abortReason(signal)
      else if (!whole) this.failure ??= disconnected()
      this.#closed = true
      this.#wake()
    })
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const chunk = this.#waiting.shift()
        if (chunk) {
          yield chunk
          continue
        }
        if (this.failure) throw this.failure
        if (this.#closed) return
        const woken = new Promise<void>((resolve) => (this.#wake = resolve))
        this.#request.resume()
        await woken
      }
    } finally {
      if (!this.#closed) this.#request.close(http2.constants.NGHTTP2_CANCEL)
    }
  }
}

function disconnected(cause?: unknown): ControlError {
  return new ControlError('control/disconnected', 'The connection to the coordination server broke.', { cause })
}
