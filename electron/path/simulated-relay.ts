// A peer relay in virtual time for the tests of path discovery, with its own keys and memory: what paths.md §6 says of the
// server, and nothing of our real one. Not part of the product.

import { createHash } from 'node:crypto'
import type { Endpoint } from '../base/endpoint.ts'
import { SharedBox } from '../crypto/box.ts'
import { DiscoPrivate, type DiscoPublic } from '../crypto/keys.ts'
import { discoSender, openDisco, sealDisco } from '../wire/disco/envelope.ts'
import type { DiscoMessage } from '../wire/disco/message.ts'
import type { RelayEndpoint } from '../wire/disco/relay-endpoint.ts'
import type { GeneveHeader } from '../wire/geneve/header.ts'

const STEADY_MS = 5 * 60_000

interface Side {
  readonly key: DiscoPublic
  generation: number
  bound: Endpoint | undefined
  seenAtMs: number
}

interface Place {
  readonly vni: number
  readonly lamportId: bigint
  readonly sides: readonly [Side, Side]
}

export interface SimRelayWorld {
  now(): number
  send(from: Endpoint, to: Endpoint, header: GeneveHeader, bytes: Uint8Array): void
}

export class SimRelay {
  readonly endpoint: Endpoint
  discoKey = DiscoPrivate.generate()
  /** Takes nothing and sends nothing. */
  dead = false
  readonly #world: SimRelayWorld
  readonly #places = new Map<number, Place>()
  #vni = 0
  forwarded = 0

  constructor(endpoint: Endpoint, world: SimRelayWorld) {
    this.endpoint = endpoint
    this.#world = world
  }

  /** A new process: new key, nothing remembered. */
  restart(): void {
    this.discoKey = DiscoPrivate.generate()
    this.#places.clear()
    this.#vni = 0
    this.dead = false
  }

  get places(): number {
    return this.#places.size
  }

  allocate(pair: readonly [DiscoPublic, DiscoPublic]): RelayEndpoint | undefined {
    if (this.dead) return undefined
    for (const place of this.#places.values()) if (this.#isOld(place)) this.#places.delete(place.vni)
    let place = [...this.#places.values()].find(({ sides }) =>
      sides.every(({ key }, index) => pair[index]?.equals(key)),
    )
    if (!place) {
      this.#vni++
      const side = (key: DiscoPublic): Side => ({ key, generation: 0, bound: undefined, seenAtMs: this.#world.now() })
      place = { vni: this.#vni, lamportId: BigInt(this.#vni), sides: [side(pair[0]), side(pair[1])] }
      this.#places.set(place.vni, place)
    }
    return {
      serverDisco: this.discoKey.public,
      clientDisco: pair,
      lamportId: place.lamportId,
      vni: place.vni,
      bindLifetimeNs: 30_000_000_000n,
      steadyStateLifetimeNs: 300_000_000_000n,
      endpoints: [this.endpoint],
    }
  }

  receive(from: Endpoint, header: GeneveHeader, bytes: Uint8Array): void {
    const place = this.#places.get(header.vni)
    if (this.dead || !place || this.#isOld(place)) return
    if (header.control) return this.#control(place, from, bytes)
    const [one, other] = place.sides
    const [sender, receiver] = one.bound === from ? [one, other] : other.bound === from ? [other, one] : []
    if (!sender || receiver?.bound === undefined) return
    sender.seenAtMs = this.#world.now()
    this.forwarded++
    this.#world.send(this.endpoint, receiver.bound, header, bytes)
  }

  #control(place: Place, from: Endpoint, bytes: Uint8Array): void {
    const key = discoSender(bytes)
    const side = place.sides.find((one) => key?.equals(one.key))
    const other = place.sides.find((one) => one !== side)
    if (!side || !other) return
    const box = new SharedBox(this.discoKey.secretBytes(), side.key.bytes)
    const message = openDisco(bytes, box)
    if (message?.kind !== 'bind' && message?.kind !== 'bindAnswer') return
    if (message.vni !== place.vni || !message.remoteKey.equals(other.key) || message.generation === 0) return
    const mac = new Uint8Array(createHash('sha256').update(`${message.generation} ${from}`).digest())
    if (message.kind === 'bind') {
      side.generation = message.generation
      const challenge: DiscoMessage = { ...message, kind: 'bindChallenge', challenge: mac }
      const sealed = sealDisco(this.discoKey.public, box, challenge)
      this.#world.send(this.endpoint, from, { control: true, protocol: 'disco', vni: place.vni }, sealed)
      return
    }
    if (side.generation !== message.generation || Buffer.compare(mac, message.challenge) !== 0) return
    side.generation = 0
    side.bound = from
    side.seenAtMs = this.#world.now()
  }

  #isOld(place: Place): boolean {
    const bound = place.sides.every((side) => side.bound !== undefined)
    const limitMs = bound ? STEADY_MS : 30_000
    return place.sides.some((side) => this.#world.now() - side.seenAtMs > limitMs)
  }
}
