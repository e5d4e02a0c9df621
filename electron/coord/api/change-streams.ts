// Server-sent events: that something changed, and of what kind. What it is now is asked for; an event that is lost costs
// nothing but a moment.

import type { ServerResponse } from 'node:http'
import type { Clock } from '../../base/clock.ts'
import type { Change } from '../registry-transaction.ts'
import type { ApiCaller } from './caller.ts'

const MOST_STREAMS = 256
const MOST_OF_ONE_CALLER = 8
/** Changes that come together are told together. */
const GATHER_MS = 200
/** Proxies end what is silent for a minute. */
const ALIVE_MS = 25_000
/** A page asks again by itself when the stream ends; only then is it seen whether it still may. */
const LONGEST_MS = 10 * 60_000

export class ChangeStreams {
  readonly #clock: Clock
  readonly #open = new Map<ServerResponse, string>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** False when there are too many already. */
  begin(caller: ApiCaller, response: ServerResponse): boolean {
    const whose = caller.actor
    const sameCaller = [...this.#open.values()].filter((one) => one === whose).length
    if (this.#open.size >= MOST_STREAMS || sameCaller >= MOST_OF_ONE_CALLER) return false
    this.#open.set(response, whose)
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    response.write('retry: 2000\n\n')
    const waiting = new Set<Change['type']>()
    let cancelGather: (() => void) | undefined
    const tell = (): void => {
      cancelGather = undefined
      // A reader that does not keep up hears of it with the next change.
      if (response.writableEnded || response.writableNeedDrain) return
      response.write(`event: change\ndata: ${JSON.stringify([...waiting])}\n\n`)
      waiting.clear()
    }
    const stopListening = caller.registry.changes.add((change) => {
      // With another role they may see less; the page asks again by itself.
      if (change.type === 'user' && change.id === caller.userId) response.end()
      if (response.writableEnded) return
      waiting.add(change.type)
      cancelGather ??= this.#clock.after(GATHER_MS, tell)
    })
    const alive = setInterval(() => response.write(': alive\n\n'), ALIVE_MS)
    const cancelEnd = this.#clock.after(LONGEST_MS, () => response.end())
    response.on('close', () => {
      clearInterval(alive)
      cancelEnd()
      cancelGather?.()
      stopListening()
      this.#open.delete(response)
    })
    return true
  }

  close(): void {
    for (const response of this.#open.keys()) response.end()
  }
}
