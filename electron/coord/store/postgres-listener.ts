// A connection that only hears. When it breaks it comes back by itself, and says that something may have been missed.

import { Client, type ClientConfig } from 'pg'
import { CHANGES_CHANNEL } from './shared-tables.ts'

const FIRST_RETRY_MS = 100
const LAST_RETRY_MS = 5_000

export class PostgresListener {
  readonly #config: ClientConfig
  readonly #onNews: (seq: number | undefined) => void
  #client: Client | undefined
  #retryMs = FIRST_RETRY_MS
  #retry: NodeJS.Timeout | undefined
  #isClosed = false

  /** `onNews` hears the number of a change, or undefined where any may have been missed. */
  constructor(config: ClientConfig, onNews: (seq: number | undefined) => void) {
    this.#config = config
    this.#onNews = onNews
    void this.#connect()
  }

  async #connect(): Promise<void> {
    const client = new Client(this.#config)
    this.#client = client
    client.on('error', () => {})
    client.once('end', () => this.#again(client))
    client.on('notification', ({ payload }) => {
      const seq = Number(payload)
      this.#onNews(Number.isSafeInteger(seq) ? seq : undefined)
    })
    try {
      await client.connect()
      await client.query(`LISTEN ${CHANGES_CHANNEL}`)
      this.#retryMs = FIRST_RETRY_MS
      this.#onNews(undefined)
    } catch {
      this.#again(client)
    }
  }

  #again(client: Client): void {
    if (this.#isClosed || this.#client !== client) return
    this.#client = undefined
    client.end().catch(() => {})
    this.#retry = setTimeout(() => void this.#connect(), this.#retryMs)
    this.#retry.unref()
    this.#retryMs = Math.min(LAST_RETRY_MS, this.#retryMs * 2)
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#retry)
    this.#client?.end().catch(() => {})
    this.#client = undefined
  }
}
