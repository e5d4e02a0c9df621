// What tells that a peer is there, gone, or does not let us in.

import type { Clock } from '../base/clock.ts'
import type { PeerContact } from './doctor/facts.ts'

/** What the path finder knows of it; monotonic ms. */
type Heard = Pick<PeerContact, 'heardAtMs' | 'askedAtMs' | 'directAnsweredAtMs'>

export class PeerContacts {
  readonly #clock: Clock
  readonly #heard: (nodeKey: string) => Heard | undefined
  /** By node key: since when the DERP servers say that the peer is not there. */
  readonly #goneAtMs = new Map<string, { readonly region: number; readonly atMs: number }>()
  /** By node key: when it last told that policy turned away what we sent. */
  readonly #rejectedAtMs = new Map<string, number>()

  constructor(clock: Clock, heard: (nodeKey: string) => Heard | undefined) {
    this.#clock = clock
    this.#heard = heard
  }

  /** Only of peers that are in the network. */
  noteGone(region: number, nodeKey: string): void {
    const before = this.#goneAtMs.get(nodeKey)
    const heardAtMs = this.#heard(nodeKey)?.heardAtMs ?? -Infinity
    if (before?.region === region && before.atMs >= heardAtMs) return
    this.#goneAtMs.set(nodeKey, { region, atMs: this.#clock.now() })
  }

  noteRejected(nodeKey: string): void {
    this.#rejectedAtMs.set(nodeKey, this.#clock.now())
  }

  /** What is known of the peer's being there at all; monotonic ms. */
  of(nodeKey: string): PeerContact {
    const { heardAtMs, askedAtMs, directAnsweredAtMs } = this.#heard(nodeKey) ?? {}
    const gone = this.#goneAtMs.get(nodeKey)
    const isGone = gone !== undefined && (heardAtMs === undefined || heardAtMs <= gone.atMs)
    const rejectedAtMs = this.#rejectedAtMs.get(nodeKey)
    return { heardAtMs, askedAtMs, directAnsweredAtMs, rejectedAtMs, gone: isGone ? gone : undefined }
  }

  keepOnly(nodeKeys: ReadonlySet<string>): void {
    for (const known of [this.#goneAtMs, this.#rejectedAtMs])
      for (const nodeKey of known.keys()) if (!nodeKeys.has(nodeKey)) known.delete(nodeKey)
  }
}
