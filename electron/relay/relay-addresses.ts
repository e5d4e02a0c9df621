// Where clients are told to bind: configured addresses first, then what the router maps to us, what STUN servers see of the
// relay's own sockets, and the addresses of this machine. The questions also keep the router's mapping alive. paths.md §6.3.

import { equalBytes } from '../base/bytes.ts'
import type { Clock } from '../base/clock.ts'
import { type Endpoint, type IpAddress, isV6, joinEndpoint, splitEndpoint } from '../base/endpoint.ts'
import { isCoded } from '../base/errors.ts'
import { STUN_TX_ID_BYTES } from '../wire/stun/attributes.ts'
import { stunRequest } from '../wire/stun/request.ts'
import { readStunResponse } from '../wire/stun/response.ts'

/** Below the 30 s after which many routers forget a mapping; spread, so that relays do not ask together. */
const ROUND_MS = 20_000
const ROUND_SPREAD_MS = 6_000
/** After a round without an answer. */
const FAILED_ROUND_MS = 5_000
/** When unanswered questions are asked again, and when a round ends. */
const REPEAT_MS = 700
const ROUND_END_MS = 2_500
const MOST_SERVERS = 8
/** A client sends one Bind to each address it is given; more of them cost it more than they help. */
const MOST_ENDPOINTS = 20
/** What STUN saw stays offered this long while no server answers. */
const KEEP_MS = 10 * 60_000

export interface RelayAddressesOptions {
  readonly clock: Clock
  /** 0 to below 1. */
  readonly random: () => number
  readonly ports: { readonly v4: number; readonly v6: number | undefined }
  readonly staticEndpoints: readonly Endpoint[]
  /** Whole datagrams from the relay's sockets. */
  readonly send: (endpoint: Endpoint, bytes: Uint8Array) => void
  readonly localAddresses: () => readonly IpAddress[]
  /** STUN servers, of both families; several are needed to see whether the mapping varies. */
  readonly stunServers: () => Promise<readonly Endpoint[]>
  /** What a port-mapping service of the router gave for the relay's port. */
  readonly extraEndpoints: () => readonly Endpoint[]
  readonly onChange: () => void
}

interface Question {
  readonly server: Endpoint
  readonly txId: Uint8Array
  answer: Endpoint | undefined
}

export type Mapping = 'unknown' | 'independent' | 'varies'

export class RelayAddresses {
  readonly #options: RelayAddressesOptions
  #questions: Question[] = []
  #seen: readonly Endpoint[] = []
  #seenAtMs = 0
  #mapping: Mapping = 'unknown'
  #cancel = (): void => {}
  #round = 0
  #closed = false
  #last = ''

  constructor(options: RelayAddressesOptions) {
    this.#options = options
  }

  start(): void {
    void this.#ask()
  }

  /** Whether the IPv4 mapping depends on where packets go: then nobody can foresee the relay's public port. */
  get mapping(): Mapping {
    return this.#mapping
  }

  /** What STUN servers saw, newest round. */
  get public(): readonly Endpoint[] {
    return this.#seen
  }

  get list(): readonly Endpoint[] {
    const { staticEndpoints, extraEndpoints, localAddresses, ports, clock } = this.#options
    const seen = clock.now() - this.#seenAtMs <= KEEP_MS ? this.#seen : []
    const local = localAddresses().flatMap((address) => {
      const port = isV6(address) ? ports.v6 : ports.v4
      return port === undefined ? [] : [joinEndpoint(address, port)]
    })
    // A router that maps differently per destination may still have the port forwarded by hand.
    const forwarded =
      this.#mapping === 'varies'
        ? seen.flatMap((endpoint) => {
            const address = splitEndpoint(endpoint)?.address
            return address === undefined || isV6(address) ? [] : [joinEndpoint(address, ports.v4)]
          })
        : []
    return [...new Set([...staticEndpoints, ...extraEndpoints(), ...seen, ...forwarded, ...local])].slice(
      0,
      MOST_ENDPOINTS,
    )
  }

  /** The machine's network is another: what was seen from the old one misleads. */
  linkChanged(): void {
    this.#seen = []
    this.#mapping = 'unknown'
    void this.#ask()
  }

  /** Tells when the list is another than last told, for changes that come from outside. */
  refresh(): void {
    const text = this.list.join()
    if (text === this.#last) return
    this.#last = text
    this.#options.onChange()
  }

  /** True when this answers a question of ours. */
  handleStun(from: Endpoint, bytes: Uint8Array): boolean {
    let response
    try {
      response = readStunResponse(bytes)
    } catch (error) {
      if (isCoded(error)) return false
      throw error
    }
    const { txId, endpoint } = response
    const question = this.#questions.find((one) => one.server === from && equalBytes(one.txId, txId))
    if (!question || (splitEndpoint(endpoint)?.port ?? 0) === 0) return false
    question.answer = endpoint
    if (this.#questions.every(({ answer }) => answer !== undefined)) this.#conclude()
    return true
  }

  close(): void {
    this.#closed = true
    this.#cancel()
    this.#questions = []
  }

  async #ask(): Promise<void> {
    const round = (this.#round += 1)
    this.#cancel()
    let servers: readonly Endpoint[] = []
    try {
      servers = await this.#options.stunServers()
    } catch {
      // A name that does not resolve now; the next round asks again.
    }
    if (this.#closed || round !== this.#round) return
    const { v6 } = this.#options.ports
    this.#questions = servers
      .filter((server) => v6 !== undefined || !server.startsWith('['))
      .slice(0, MOST_SERVERS)
      .map((server) => ({
        server,
        txId: globalThis.crypto.getRandomValues(new Uint8Array(STUN_TX_ID_BYTES)),
        answer: undefined,
      }))
    this.#sendOpen()
    const { clock } = this.#options
    this.#cancel = clock.after(REPEAT_MS, () => {
      this.#sendOpen()
      this.#cancel = clock.after(ROUND_END_MS - REPEAT_MS, () => this.#conclude())
    })
    this.refresh()
  }

  #sendOpen(): void {
    for (const { server, txId, answer } of this.#questions)
      if (answer === undefined) this.#options.send(server, stunRequest(txId))
  }

  #conclude(): void {
    const { clock, random } = this.#options
    const answers = this.#questions.flatMap(({ answer }) => answer ?? [])
    this.#questions = []
    if (answers.length > 0) {
      this.#seen = [...new Set(answers)]
      this.#seenAtMs = clock.now()
      const v4 = answers.filter((endpoint) => !endpoint.startsWith('['))
      this.#mapping = new Set(v4).size > 1 ? 'varies' : v4.length > 1 ? 'independent' : this.#mapping
    }
    this.refresh()
    this.#cancel()
    const waitMs = answers.length > 0 ? ROUND_MS + random() * ROUND_SPREAD_MS : FAILED_ROUND_MS
    this.#cancel = clock.after(waitMs, () => void this.#ask())
  }
}
