import { Duplex } from 'node:stream'
import { concat } from '../../base/bytes.ts'
import { WireError } from '../codec.ts'
import { type EarlyPayload, EarlyPayloadFilter } from './early-payload.ts'
import type { NoiseKeys } from './handshake.ts'
import { MAX_PLAINTEXT_BYTES, RecordOpener, RecordSealer } from './record.ts'

/** How much is encrypted before the transport is asked whether it wants more; bounds what waits in it. */
const SEAL_BYTES = 16 * MAX_PLAINTEXT_BYTES
const BUFFER_BYTES = 64 * 1024

export interface NoiseStreamOptions {
  /** Client side: expect an early payload, which then is not part of the stream. Called before the first byte is readable. */
  readonly onEarlyPayload?: (payload: EarlyPayload) => void
}

/**
 * The plain side of an encrypted control connection: what is written comes out of the other side's NoiseStream. `transport`
 * is owned from here on: it ends and is destroyed with this stream. Any bad record destroys both.
 */
export class NoiseStream extends Duplex {
  readonly #transport: Duplex
  readonly #sealer: RecordSealer
  readonly #opener: RecordOpener
  readonly #early: EarlyPayloadFilter | undefined
  readonly #onEarlyPayload: ((payload: EarlyPayload) => void) | undefined
  #ended = false

  constructor(transport: Duplex, keys: NoiseKeys, options: NoiseStreamOptions = {}) {
    super({ readableHighWaterMark: BUFFER_BYTES, writableHighWaterMark: BUFFER_BYTES })
    this.#transport = transport
    this.#sealer = new RecordSealer(keys.sendKey)
    this.#opener = new RecordOpener(keys.receiveKey)
    this.#onEarlyPayload = options.onEarlyPayload
    this.#early = options.onEarlyPayload ? new EarlyPayloadFilter() : undefined
    transport.on('data', (chunk: Uint8Array) => this.#receive(chunk))
    transport.on('end', () => this.#receiveEnd())
    transport.on('error', (error) => this.destroy(error))
    transport.on('close', () => {
      // What came before a regular end is still to be read.
      if (this.#ended && !this.readableEnded) this.once('end', () => this.destroy())
      else this.destroy()
    })
    transport.pause()
  }

  #receive(chunk: Uint8Array): void {
    if (this.destroyed) return
    let more = true
    try {
      for (const plaintext of this.#opener.push(chunk)) {
        const bytes = this.#withoutEarlyPayload(plaintext)
        if (bytes.length > 0) more = this.push(bytes)
      }
    } catch (error) {
      this.destroy(error instanceof Error ? error : new Error(String(error)))
      return
    }
    if (!more) this.#transport.pause()
  }

  #withoutEarlyPayload(plaintext: Uint8Array): Uint8Array {
    const early = this.#early
    if (!early || early.settled) return plaintext
    const rest = early.push(plaintext)
    if (early.payload) this.#onEarlyPayload?.(early.payload)
    return rest
  }

  #receiveEnd(): void {
    if (this.#opener.idle) {
      this.#ended = true
      this.push(null)
    } else this.destroy(new WireError('wire/short', 'The connection ended inside a record.'))
  }

  override _read(): void {
    this.#transport.resume()
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#send(chunk, 0, done)
  }

  /** Small writes that piled up share records. */
  override _writev(
    chunks: { chunk: Uint8Array; encoding: BufferEncoding }[],
    done: (error?: Error | null) => void,
  ): void {
    this.#send(concat(...chunks.map(({ chunk }) => chunk)), 0, done)
  }

  #send(plaintext: Uint8Array, from: number, done: (error?: Error | null) => void): void {
    let records: Uint8Array
    const end = Math.min(from + SEAL_BYTES, plaintext.length)
    try {
      records = this.#sealer.seal(plaintext.subarray(from, end))
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)))
      return
    }
    // The callback runs when the transport has taken the bytes, so at most SEAL_BYTES of ours wait there.
    this.#transport.write(records, (error) => {
      if (error) done(error)
      else if (end < plaintext.length) this.#send(plaintext, end, done)
      else done()
    })
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#transport.end(() => done())
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#transport.destroy()
    done(error)
  }
}
