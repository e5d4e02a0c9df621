import type { Clock } from '../base/clock.ts'
import { isCoded } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { MachinePrivate, MachinePublic } from '../crypto/keys.ts'
import { orAborted } from './clock-wait.ts'
import { type ControlAnswer, ControlConnection, type ControlRequest } from './control-connection.ts'
import { ControlError } from './control-error.ts'
import { dialControl, fetchServerKey } from './dialer.ts'

/** Answers that are read whole: registration, updates. */
const MAX_ANSWER_BYTES = 1024 * 1024

export interface ChannelOptions {
  readonly server: URL
  readonly machineKey: MachinePrivate
  readonly version: number
  readonly clock: Clock
  readonly log: Logger
}

/** The one connection to a server that all requests share: made when it is needed, made anew when it has died. */
export class ControlChannel {
  readonly #options: ChannelOptions
  readonly #life = new AbortController()
  #serverKey: MachinePublic | undefined
  #connection: ControlConnection | undefined
  #dialing: Promise<ControlConnection> | undefined

  constructor(options: ChannelOptions) {
    this.#options = options
  }

  /** Aborts with 'control/closed' when the channel is closed. */
  get signal(): AbortSignal {
    return this.#life.signal
  }

  /** A usable connection. Throws ControlError, or the signal's reason. */
  async connected(signal: AbortSignal): Promise<ControlConnection> {
    if (this.#connection?.usable) return this.#connection
    this.#dialing ??= this.#dial().finally(() => {
      this.#dialing = undefined
    })
    return orAborted(this.#dialing, AbortSignal.any([signal, this.#life.signal]))
  }

  /** One request and its whole answer, within `withinMs`; else `tooLong` is thrown. */
  async request(
    request: ControlRequest,
    withinMs: number,
    tooLong: ControlError,
    signal: AbortSignal,
  ): Promise<ControlAnswer> {
    const late = new AbortController()
    const cancel = this.#options.clock.after(withinMs, () => late.abort(tooLong))
    const either = AbortSignal.any([signal, late.signal, this.#life.signal])
    try {
      const reused = this.#connection?.usable ?? false
      const connection = await this.connected(either)
      try {
        return await connection.request(request, MAX_ANSWER_BYTES, either)
      } catch (error) {
        // An idle connection may have died without a word; every request here can be said twice.
        if (!reused || !isCoded(error, 'control/disconnected')) throw error
        connection.close()
        return await (await this.connected(either)).request(request, MAX_ANSWER_BYTES, either)
      }
    } finally {
      cancel()
    }
  }

  /** Finds out whether the connection, if there is one, still lives; a dead one is given up after `withinMs`. */
  probe(withinMs: number): void {
    this.#connection?.probe(withinMs)
  }

  /** What is under way rejects with 'control/closed'. Idempotent. */
  close(): void {
    this.#life.abort(new ControlError('control/closed', 'The connection to the coordination server was closed.'))
    this.#connection?.close()
    this.#connection = undefined
  }

  async #dial(): Promise<ControlConnection> {
    const { server, machineKey, version, clock, log } = this.#options
    const { signal } = this.#life
    try {
      this.#serverKey ??= await fetchServerKey(server, version, signal)
      const stream = await dialControl({ server, serverKey: this.#serverKey, machineKey, version }, signal)
      const connection = new ControlConnection(stream, server, clock)
      this.#connection = connection
      if (signal.aborted) connection.close()
      log.debug('connected', { server: server.host })
      return connection
    } catch (error) {
      // A server may have been set up anew: the next attempt asks for its key again.
      if (!isCoded(error, 'control/unreachable')) this.#serverKey = undefined
      throw error
    }
  }
}
