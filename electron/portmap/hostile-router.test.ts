// Whatever a router answers: the mapper never throws, hangs, grows or asks without end, and offers only what could be an endpoint.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { VirtualClock } from '../base/clock.ts'
import { splitEndpoint, type Endpoint } from '../base/endpoint.ts'
import { silentLogger } from '../base/log.ts'
import { FakeRouter } from './fake-router.ts'
import { isUsableExternal } from './mapping-service.ts'
import { PortMapper } from './port-mapper.ts'
import type { HttpReply, HttpRequest, UdpPort } from './portmap-io.ts'

type Harm =
  | { readonly kind: 'none' | 'lost' | 'ten' }
  | { readonly kind: 'cut' | 'flip'; readonly at: number }
  | { readonly kind: 'other'; readonly bytes: Uint8Array }

const harms: fc.Arbitrary<Harm> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom<Harm>({ kind: 'none' }) },
  fc.constantFrom<Harm>({ kind: 'lost' }, { kind: 'ten' }),
  fc
    .tuple(fc.constantFrom('cut' as const, 'flip' as const), fc.nat({ max: 600 }))
    .map(([kind, at]): Harm => ({ kind, at })),
  fc.uint8Array({ maxLength: 100 }).map((bytes): Harm => ({ kind: 'other', bytes })),
)

class HarmfulRouter extends FakeRouter {
  readonly #harms: readonly Harm[]
  #next = 0

  constructor(clock: VirtualClock, list: readonly Harm[]) {
    super(clock)
    this.#harms = list
  }

  #harmed(bytes: Uint8Array): readonly Uint8Array[] {
    const harm = this.#harms[this.#next++ % this.#harms.length] ?? { kind: 'none' }
    switch (harm.kind) {
      case 'none':
        return [bytes]
      case 'lost':
        return []
      case 'ten':
        return Array.from({ length: 10 }, () => bytes)
      case 'cut':
        return [bytes.slice(0, harm.at % (bytes.length + 1))]
      case 'flip':
        return [bytes.map((byte, index) => (index === harm.at % bytes.length ? byte ^ 0xff : byte))]
      case 'other':
        return [harm.bytes]
    }
  }

  override openUdp(ownAddress: string, onPacket: (from: Endpoint, bytes: Uint8Array) => void): UdpPort {
    return super.openUdp(ownAddress, (from, bytes) => {
      for (const harmed of this.#harmed(bytes)) onPacket(from, harmed)
    })
  }

  override async http(request: HttpRequest, mostBytes: number, signal: AbortSignal): Promise<HttpReply> {
    const reply = await super.http(request, mostBytes, signal)
    const [body] = this.#harmed(reply.body)
    if (body) return { ...reply, body }
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))))
  }
}

test('no answers whatever hang the mapper, grow it, or make it offer nonsense', async () => {
  const speaks = fc.record({ pmp: fc.boolean(), pcp: fc.boolean(), upnp: fc.boolean() })
  await fc.assert(
    fc.asyncProperty(speaks, fc.array(harms, { minLength: 1, maxLength: 40 }), async (protocols, list) => {
      const clock = new VirtualClock()
      const router = new HarmfulRouter(clock, list)
      router.speaks = protocols
      const offered: Endpoint[] = []
      const errors: string[] = []
      const mapper = new PortMapper({
        clock,
        log: { ...silentLogger, error: (message) => void errors.push(message) },
        io: router,
        random: () => 0.5,
        onChange: ({ endpoint }) => void (endpoint !== undefined && offered.push(endpoint)),
      })
      mapper.setLocalPort(41_641)
      let most = 0
      for (let step = 0; step < 200; step++) {
        await clock.advanceAsync(1_000, 50)
        most = Math.max(most, router.openPorts + clock.pendingTimers)
      }
      assert.deepEqual(errors, [])
      assert.ok(most <= 16, `${most} timers and sockets at once`)
      assert.ok(router.asked.length <= 500, `${router.asked.length} questions in 200 s`)
      for (const endpoint of offered) {
        const parts = splitEndpoint(endpoint)
        assert.ok(parts && parts.port > 0 && isUsableExternal(parts.address), endpoint)
      }
      let isClosed = false
      void mapper.close().then(() => (isClosed = true))
      await clock.advanceAsync(3_000, 50)
      assert.ok(isClosed)
      assert.equal(router.openPorts, 0)
      assert.equal(clock.pendingTimers, 0)
    }),
    { numRuns: 60 },
  )
})
