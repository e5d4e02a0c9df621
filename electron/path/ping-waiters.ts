// Those who asked for a ping of one peer and wait for the first pong.

import type { Clock } from '../base/clock.ts'
import { PathError, type PingResult, type PingVia } from './path-io.ts'
import type { SentPing } from './ping-table.ts'

const MOST_WAITERS = 16

interface Waiter {
  readonly sinceMs: number
  readonly end: (result: PingResult | PathError) => void
}

export class PingWaiters {
  readonly #waiters = new Set<Waiter>()

  /** Rejects when there is no answer within `timeoutMs`. */
  wait(clock: Clock, timeoutMs: number): Promise<PingResult> {
    if (this.#waiters.size >= MOST_WAITERS)
      return Promise.reject(new PathError('path/busy', 'Too many pings to this machine are under way.'))
    return new Promise((resolve, reject) => {
      const timeout = clock.after(timeoutMs, () =>
        waiter.end(new PathError('path/no-answer', `No answer within ${timeoutMs} ms.`)),
      )
      const waiter: Waiter = {
        sinceMs: clock.now(),
        end: (result) => {
          timeout()
          this.#waiters.delete(waiter)
          if (result instanceof PathError) reject(result)
          else resolve(result)
        },
      }
      this.#waiters.add(waiter)
    })
  }

  answer({ by, sentAtMs }: SentPing, latencyMs: number): void {
    const via = viaOf(by)
    for (const waiter of this.#waiters) if (sentAtMs >= waiter.sinceMs) waiter.end({ latencyMs, via })
  }

  fail(why: PathError): void {
    for (const waiter of this.#waiters) waiter.end(why)
  }
}

function viaOf(by: SentPing['by']): PingVia {
  switch (by.kind) {
    case 'direct':
      return { kind: 'direct', endpoint: by.endpoint }
    case 'relay':
      return { kind: 'peer-relay', endpoint: by.endpoint, vni: by.vni }
    case 'derp':
      return by
  }
}
