// Answers the queries of this machine: names of the tailnet itself, and everything else by asking who is responsible.

import type { Clock } from '../base/clock.ts'
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import {
  type Answer,
  answers,
  isTruncated,
  type Query,
  RCODE,
  rcodeOf,
  readQuery,
  reverseAddress,
  takesBytes,
  truncated,
  TYPE,
  writeAnswer,
} from '../wire/dns/message.ts'
import { type DnsPlan, responsibleFor } from './dns-plan.ts'
import { askOverHttp, isHttpServer } from './over-http.ts'
import { askOverTcp, askOverUdp } from './upstream.ts'

/** Queries that wait for somebody's answer at a time. */
const MOST_WAITING = 512
/** A server that has not answered by then gets company from the next one. */
const NEXT_AFTER_MS = 800
/** Clients ask again after five seconds. */
const GIVE_UP_MS = 4_500
const MOST_TCP_BYTES = 65_535

export type Transport = 'udp' | 'tcp' | 'http'

export interface ResolverOptions {
  readonly clock: Clock
  readonly log: Logger
  /** Servers that the system used before us. */
  readonly systemServers: () => readonly string[]
  readonly ask?: (transport: Transport, server: string, message: Uint8Array, signal: AbortSignal) => Promise<Uint8Array>
}

export interface ResolverCounters {
  queries: number
  malformed: number
  forwarded: number
  failed: number
}

export class Resolver {
  readonly #options: ResolverOptions
  #plan: DnsPlan | undefined
  #waiting = 0
  readonly counters: ResolverCounters = { queries: 0, malformed: 0, forwarded: 0, failed: 0 }

  constructor(options: ResolverOptions) {
    this.#options = options
  }

  setPlan(plan: DnsPlan | undefined): void {
    this.#plan = plan
  }

  /** The answer; undefined for what deserves none. Never rejects. */
  async resolve(message: Uint8Array, transport: Transport): Promise<Uint8Array | undefined> {
    this.counters.queries++
    let query: Query
    try {
      query = readQuery(message)
    } catch {
      this.counters.malformed++
      return undefined
    }
    const mostBytes = transport === 'udp' ? takesBytes(message, query) : MOST_TCP_BYTES
    const here = this.#answerHere(query)
    if (here) return writeAnswer(query, here.rcode, here.answers, mostBytes)
    if (this.#waiting >= MOST_WAITING) return this.#fail(query, mostBytes)
    this.#waiting++
    try {
      const servers = this.#serversFor(query)
      const answer = servers.length > 0 ? await this.#forward(query, message, transport, servers) : undefined
      if (!answer) return this.#fail(query, mostBytes)
      return answer.length > mostBytes ? truncated(query, answer) : answer
    } finally {
      this.#waiting--
    }
  }

  #answerHere(query: Query): { readonly rcode: number; readonly answers: readonly Answer[] } | undefined {
    const plan = this.#plan
    if (!plan || !query.isInternet) return undefined
    const reverse = plan.namesOf.get(reverseAddress(query.name) ?? '')
    if (reverse !== undefined)
      return { rcode: RCODE.ok, answers: query.type === TYPE.ptr ? [{ type: 'name', name: reverse }] : [] }
    if (responsibleFor(query.name, plan).kind !== 'here') return undefined
    const addresses = plan.hosts.get(query.name)
    // The domain itself exists, and so does all that has names below it; it only has no address.
    if (!addresses) return { rcode: this.#hasNamesBelow(query.name, plan) ? RCODE.ok : RCODE.noSuchName, answers: [] }
    const wanted = addresses.filter((address) =>
      query.type === TYPE.any ? true : query.type === (address.includes(':') ? TYPE.aaaa : TYPE.a),
    )
    return { rcode: RCODE.ok, answers: wanted.map((address) => ({ type: 'address', address })) }
  }

  #hasNamesBelow(domain: string, plan: DnsPlan): boolean {
    if (plan.routes.has(domain)) return true
    for (const name of plan.hosts.keys()) if (name.endsWith(`.${domain}`)) return true
    return false
  }

  #serversFor({ name }: Query): readonly string[] {
    const plan = this.#plan
    const who = plan ? responsibleFor(name, plan) : ({ kind: 'system' } as const)
    return who.kind === 'servers' ? who.servers : this.#options.systemServers()
  }

  /** The first answer that is not a failure; a failure when all fail. */
  async #forward(
    query: Query,
    message: Uint8Array,
    transport: Transport,
    servers: readonly string[],
  ): Promise<Uint8Array | undefined> {
    this.counters.forwarded++
    const { clock, log, ask = askServer } = this.#options
    const over = new AbortController()
    const cancels: (() => void)[] = []
    try {
      return await new Promise((resolve) => {
        let failure: Uint8Array | undefined
        let [next, asked, ended] = [0, 0, 0]
        const askNext = (): void => {
          const server = servers[next++]
          if (server === undefined) return
          asked++
          cancels.push(clock.after(NEXT_AFTER_MS, askNext))
          ask(transport, server, message, over.signal)
            .then((answer) => {
              if (!answers(query, answer)) throw new Error('the answer belongs to another query')
              const rcode = rcodeOf(answer)
              if (rcode !== RCODE.failed && rcode !== RCODE.refused) return resolve(answer)
              failure ??= answer
            })
            .catch((error: unknown) => log.debug('a name server failed', { server, error: messageOf(error) }))
            .finally(() => {
              ended++
              if (ended < asked) return
              if (next < servers.length) askNext()
              else resolve(failure)
            })
        }
        cancels.push(clock.after(GIVE_UP_MS, () => resolve(failure)))
        askNext()
      })
    } finally {
      for (const cancel of cancels) cancel()
      over.abort()
    }
  }

  #fail(query: Query, mostBytes: number): Uint8Array {
    this.counters.failed++
    return writeAnswer(query, RCODE.failed, [], mostBytes)
  }
}

const askServer: NonNullable<ResolverOptions['ask']> = async (transport, server, message, signal) => {
  if (isHttpServer(server)) return askOverHttp(server, message, signal)
  if (transport === 'tcp') return askOverTcp(server, message, signal)
  const answer = await askOverUdp(server, message, signal)
  // A client over UDP asks again by itself; one over HTTP takes whatever length there is.
  return transport === 'http' && isTruncated(answer) ? askOverTcp(server, message, signal) : answer
}
