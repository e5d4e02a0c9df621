import type { CallName, Calls, Place, PageState, Reply } from '../../identity/login-api.ts'
import { words } from './words.ts'

/** What the server refused, in its own words. */
export class Refusal extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/** Argon2id behind a queue, on a small computer. */
const TIMEOUT_MS = 30_000

export class Api {
  readonly #place: Place
  #token = ''

  constructor(place: Place) {
    this.#place = place
  }

  async state(): Promise<PageState> {
    const state = await this.#post('state', this.#place)
    this.#token = state.token
    return state
  }

  async call<N extends Exclude<CallName, 'state'>>(name: N, ask: Calls[N]['ask']): Promise<Calls[N]['value']> {
    try {
      return await this.#post(name, ask)
    } catch (error) {
      // The server started again since the page was loaded: get a new token and ask once more.
      if (!(error instanceof Refusal) || error.code !== 'login/stale-page') throw error
      await this.state()
      return this.#post(name, ask)
    }
  }

  async #post<N extends CallName>(name: N, ask: Calls[N]['ask']): Promise<Calls[N]['value']> {
    let response: Response
    try {
      response = await fetch(`/login/api/${name}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-peerway-token': this.#token },
        body: JSON.stringify(ask),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      })
    } catch {
      throw new Refusal('page/unreachable', words.trouble.unreachable)
    }
    let reply: Reply<Calls[N]['value']>
    try {
      reply = (await response.json()) as Reply<Calls[N]['value']>
    } catch {
      throw new Refusal('page/unreadable', words.trouble.unreadable)
    }
    if (!reply.ok) throw new Refusal(reply.code, reply.message)
    return reply.value
  }
}
