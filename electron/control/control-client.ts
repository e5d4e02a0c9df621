import { Backoff } from '../base/backoff.ts'
import { type Clock, systemClock } from '../base/clock.ts'
import { CodedError, codeOf, isCoded, messageOf } from '../base/errors.ts'
import { type Logger, silentLogger } from '../base/log.ts'
import type { MachinePrivate, NodePublic } from '../crypto/keys.ts'
import {
  PATH_REPORT_ROUTE,
  pathReport,
  pathReportAnswer,
  type PathReportAnswer,
  type PathReportInput,
} from '../wire/path-report.ts'
import type { MapResponse, PingRequest } from '../wire/tailcfg/map-response.ts'
import { registerRequest, type RegisterRequestInput, registerResponse } from '../wire/tailcfg/register.ts'
import { encodeMessage, parseMessage } from '../wire/tailcfg/schema.ts'
import { clockWait } from './clock-wait.ts'
import { ControlChannel } from './control-channel.ts'
import type { ControlAnswer, ControlRequest } from './control-connection.ts'
import { ControlError } from './control-error.ts'
import { LatestUpdate } from './latest-update.ts'
import { mapMessage, mapRefusal, type NodeState, readMapStream, shortText } from './map-stream.ts'
import { applyMapResponse, firstMapResponse, type Netmap } from './netmap.ts'
import { answerTo } from './ping.ts'
import { plainRequest } from './plain-request.ts'
import {
  checkedPage,
  logoutMessage,
  outcomeOf,
  registerMessage,
  type RegisterOutcome,
  type Registration,
  retryAfterMs,
} from './registration.ts'
import { parseServerUrl } from './server-url.ts'

/**
 * What this client says it understands (control.md §6). 113 is the least that present Headscale takes. 120 and 121
 * claim peer relays, as a client and as a server: peers then talk relay to us. Whoever uses the netmap must honour what the number
 * covers on the receiving side: `Node.expired` and key expiry (53), masquerade addresses (59, 104), WireGuard-only peers
 * (60), `isJailed` (94), "cap:" sources in filters (109), absent AllowedIPs (112, done in the netmap), regions that are no
 * home (115), display messages (117).
 */
export const CAPABILITY_VERSION = 121

const REGISTER_WITHIN_MS = 60_000
/** A page that waits longer for its user gets asked again by whoever waits for it. */
const FOLLOWUP_WITHIN_MS = 15 * 60_000
const UPDATE_WITHIN_MS = 30_000
const PING_ANSWER_WITHIN_MS = 15_000
const MAX_PING_ANSWER_BYTES = 64 * 1024
const MAX_RATE_LIMITED = 10
const RETRY_CAP_MS = 30_000
/** A session that lasted less counts as a failure, so that a server that hangs up at once is not asked in a tight loop. */
const SETTLED_AFTER_MS = 10_000
const PROBE_WITHIN_MS = 5_000
const MAX_PINGS_AT_ONCE = 4

export type PollStatus =
  | { readonly kind: 'connecting' }
  /** The first map has come. */
  | { readonly kind: 'connected' }
  | { readonly kind: 'disconnected'; readonly error: CodedError; readonly retryInMs: number }

export interface ControlClientOptions {
  readonly serverUrl: string | URL
  readonly machineKey: MachinePrivate
  readonly clock?: Clock
  readonly log?: Logger
  readonly capabilityVersion?: number
  /** The server wants this page shown to the user, at most once each. */
  readonly onOpenPage?: (url: string) => void
}

/** Our side of one coordination server: registration, the map poll and what the server is told about this node. */
export class ControlClient {
  readonly serverUrl: URL
  readonly capabilityVersion: number
  readonly #clock: Clock
  readonly #log: Logger
  readonly #onOpenPage: ((url: string) => void) | undefined
  readonly #channel: ControlChannel
  readonly #updates: LatestUpdate<NodeState>
  #state: NodeState | undefined
  #hurry = new AbortController()
  #lastPing = ''
  #lastPage = ''
  #pings = 0

  constructor(options: ControlClientOptions) {
    this.serverUrl = parseServerUrl(String(options.serverUrl))
    this.capabilityVersion = options.capabilityVersion ?? CAPABILITY_VERSION
    this.#clock = options.clock ?? systemClock
    this.#log = (options.log ?? silentLogger).scoped('control')
    this.#onOpenPage = options.onOpenPage
    this.#channel = new ControlChannel({
      server: this.serverUrl,
      machineKey: options.machineKey,
      version: this.capabilityVersion,
      clock: this.#clock,
      log: this.#log,
    })
    this.#updates = new LatestUpdate(
      (state, signal) => this.#sendUpdate(state, signal),
      (error, retryInMs) => this.#shouldRetryUpdate(error, retryInMs),
      this.#clock,
      this.#channel.signal,
    )
  }

  /**
   * One attempt to become a node; a 429 is waited out. With `followup` it takes as long as the user does, up to 15 minutes;
   * then the outcome is the same page once more. Throws ControlError, or the signal's reason.
   */
  async register(input: Registration, signal: AbortSignal): Promise<RegisterOutcome> {
    const message = registerMessage(this.capabilityVersion, input)
    if (input.followup === undefined || input.followup === '')
      return this.#register(message, REGISTER_WITHIN_MS, signal)
    const tooLong = new ControlError('control/unreachable', 'The sign-in was not finished in time.')
    try {
      return await this.#register(message, FOLLOWUP_WITHIN_MS, signal, tooLong)
    } catch (error) {
      if (error === tooLong) return { kind: 'login', url: input.followup }
      throw error
    }
  }

  /** Ends the node's login at the server. Throws ControlError, or the signal's reason. */
  async logout(input: Registration, signal: AbortSignal): Promise<void> {
    const outcome = await this.#register(logoutMessage(this.capabilityVersion, input), REGISTER_WITHIN_MS, signal)
    if (outcome.kind === 'refused') throw new ControlError('control/refused', outcome.message)
  }

  async #register(
    message: RegisterRequestInput,
    withinMs: number,
    signal: AbortSignal,
    tooLong = new ControlError('control/unreachable', `The server at ${this.serverUrl.host} took too long to answer.`),
  ): Promise<RegisterOutcome> {
    const body = encodeMessage(registerRequest, message)
    const headers = message.nodeKey ? loadBalancerHint(message.nodeKey) : {}
    const request: ControlRequest = { method: 'POST', path: '/machine/register', body, headers }
    for (let limited = 0; limited < MAX_RATE_LIMITED; limited++) {
      const answer = await this.#channel.request(request, withinMs, tooLong, signal)
      if (answer.status === 429) {
        const header = answer.headers['retry-after']
        const waitMs = retryAfterMs(header, this.#clock.wallNow()) ?? 5_000 + Math.random() * 5_000
        this.#log.info('registration is rate limited', { waitMs: Math.round(waitMs) })
        await clockWait(this.#clock, waitMs, AbortSignal.any([signal, this.#channel.signal]))
        continue
      }
      if (answer.status !== 200)
        throw new ControlError(
          'control/refused',
          `The server at ${this.serverUrl.host} does not take the registration: ${answer.status} ${shortText(answer)}`.trim(),
        )
      return outcomeOf(this.#parseAnswer(answer), this.serverUrl)
    }
    throw new ControlError(
      'control/rate-limited',
      'The server asks for patience again and again. Try again in a while.',
    )
  }

  #parseAnswer(answer: ControlAnswer) {
    try {
      return parseMessage(registerResponse, answer.body)
    } catch (cause) {
      throw new ControlError('control/bad-answer', `The server's answer cannot be read: ${messageOf(cause)}`, { cause })
    }
  }

  /**
   * Follows the map until `signal` aborts, over as many connections as it takes; then it resolves, and it never rejects.
   * Each connection is told the newest of `state` and later `update`s.
   */
  async poll(
    state: NodeState,
    onNetmap: (netmap: Netmap) => void,
    onStatus: (status: PollStatus) => void,
    signal: AbortSignal,
  ): Promise<void> {
    this.#state = state
    const stop = AbortSignal.any([signal, this.#channel.signal])
    const backoff = new Backoff(RETRY_CAP_MS)
    let netmap: Netmap | undefined
    while (!stop.aborted) {
      onStatus({ kind: 'connecting' })
      const hurry = this.#hurry.signal
      let connectedAtMs: number | undefined
      try {
        await this.#pollOnce((response, isFirst) => {
          const nowMs = this.#clock.wallNow()
          const next = isFirst ? firstMapResponse(netmap, response, nowMs) : applyMapResponse(netmap, response, nowMs)
          if (isFirst) {
            connectedAtMs = this.#clock.now()
            onStatus({ kind: 'connected' })
          }
          if (next !== netmap) onNetmap((netmap = next))
        }, stop)
      } catch (error) {
        if (stop.aborted) return
        if (connectedAtMs !== undefined && this.#clock.now() - connectedAtMs >= SETTLED_AFTER_MS) backoff.reset()
        const retryInMs = backoff.next()
        const coded = asCoded(error)
        this.#log.info('map poll ended', {
          code: coded.code,
          error: messageOf(error),
          retryInMs: Math.round(retryInMs),
        })
        onStatus({ kind: 'disconnected', error: coded, retryInMs })
        await clockWait(this.#clock, retryInMs, AbortSignal.any([stop, hurry])).catch(() => {})
        if (hurry.aborted) backoff.reset()
      }
    }
  }

  async #pollOnce(onMap: (response: MapResponse, isFirst: boolean) => void, signal: AbortSignal): Promise<never> {
    const connection = await this.#channel.connected(signal)
    const state = this.#state
    if (!state) throw new ControlError('control/closed', 'The client is closed.')
    // The poll itself stores nothing, and the server may have forgotten what an earlier connection told it.
    void this.update(state)
    let isFirst = true
    return readMapStream(
      connection,
      mapMessage(this.capabilityVersion, state, 'poll'),
      loadBalancerHint(state.nodeKey),
      this.#clock,
      (response) => {
        this.#sideEffects(response)
        // Before the first map a keep-alive has nothing to keep.
        if (isFirst && response.keepAlive) return
        onMap(response, isFirst)
        isFirst = false
      },
      signal,
    )
  }

  /**
   * Tells the server the newest state of this node. Calls are serialised, and one that is overtaken is left out. Resolves
   * when this or a newer state has arrived or was given up; never rejects.
   */
  update(state: NodeState): Promise<void> {
    this.#state = state
    return this.#updates.put(state)
  }

  async #sendUpdate(state: NodeState, signal: AbortSignal): Promise<void> {
    const body = mapMessage(this.capabilityVersion, state, 'update')
    const tooLong = new ControlError('control/disconnected', 'The server took too long to take an update.')
    const headers = loadBalancerHint(state.nodeKey)
    const request: ControlRequest = { method: 'POST', path: '/machine/map', body, headers }
    const answer = await this.#channel.request(request, UPDATE_WITHIN_MS, tooLong, signal)
    if (answer.status !== 200) throw mapRefusal(answer.status, shortText(answer))
  }

  /** Tells how peers are reached; only for a server that asks for it. Throws ControlError. */
  async reportPaths(report: PathReportInput): Promise<PathReportAnswer> {
    const body = encodeMessage(pathReport, report)
    const tooLong = new ControlError('control/disconnected', 'The server took too long to take a report.')
    const request: ControlRequest = { method: 'POST', path: PATH_REPORT_ROUTE, body }
    const answer = await this.#channel.request(request, UPDATE_WITHIN_MS, tooLong, this.#channel.signal)
    if (answer.status !== 200) throw mapRefusal(answer.status, shortText(answer))
    try {
      return parseMessage(pathReportAnswer, answer.body)
    } catch (cause) {
      throw new ControlError('control/bad-answer', `The server's answer cannot be read: ${messageOf(cause)}`, { cause })
    }
  }

  /** Refusals are final until there is something else to tell: the poll reports them. */
  #shouldRetryUpdate(error: unknown, retryInMs: number): boolean {
    const final = isCoded(error, 'control/node-unknown') || isCoded(error, 'control/refused')
    this.#log.info('update did not arrive', {
      error: messageOf(error),
      ...(!final && { retryInMs: Math.round(retryInMs) }),
    })
    return !final
  }

  /** The network changed, or the computer woke up: looks whether the connection lives, and ends all waits for a retry. */
  networkChanged(): void {
    this.#channel.probe(PROBE_WITHIN_MS)
    this.#hurry.abort()
    this.#hurry = new AbortController()
    this.#updates.hurry()
  }

  /** Ends everything at once; what is under way rejects with 'control/closed'. Idempotent. */
  close(): void {
    this.#channel.close()
  }

  #sideEffects(response: MapResponse): void {
    if (response.pingRequest) this.#onPing(response.pingRequest)
    const page = response.popBrowserUrl
    if (page === '' || page === this.#lastPage) return
    this.#lastPage = page
    try {
      this.#onOpenPage?.(checkedPage(page, this.serverUrl))
    } catch (error) {
      this.#log.warn('page not opened', { error: messageOf(error) })
    }
  }

  #onPing(ping: PingRequest): void {
    if (ping.url === this.#lastPing || this.#pings >= MAX_PINGS_AT_ONCE) return
    this.#lastPing = ping.url
    this.#pings++
    this.#answerPing(ping)
      .catch((error: unknown) => this.#log.info('ping not answered', { error: messageOf(error) }))
      .finally(() => {
        this.#pings--
      })
  }

  async #answerPing(ping: PingRequest): Promise<void> {
    const answer = answerTo(ping, this.serverUrl)
    if (answer.kind === 'none') return
    const signal = AbortSignal.any([this.#channel.signal, AbortSignal.timeout(PING_ANSWER_WITHIN_MS)])
    if (answer.kind === 'head' && !answer.overNoise) {
      await plainRequest('HEAD', answer.url, MAX_PING_ANSWER_BYTES, signal)
      return
    }
    const connection = await this.#channel.connected(signal)
    const path = answer.url.pathname + answer.url.search
    await connection.request(
      answer.kind === 'head' ? { method: 'HEAD', path } : { method: 'POST', path, body: answer.body },
      MAX_PING_ANSWER_BYTES,
      signal,
    )
  }
}

/** Lets a load balancer send all of a node to the same server; no authority comes with it. */
function loadBalancerHint(nodeKey: NodePublic): Readonly<Record<string, string>> {
  return { 'ts-lb': nodeKey.text }
}

function asCoded(error: unknown): CodedError {
  if (error instanceof CodedError) return error
  const code = codeOf(error)
  return new ControlError(
    'control/disconnected',
    `The connection to the coordination server broke${code === undefined ? '' : ` (${code})`}.`,
    { cause: error },
  )
}
