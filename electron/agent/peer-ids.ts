import { CodedError } from '../base/errors.ts'

const MOST = 65_535

/**
 * Small integers for the data plane, one per peer key. An id that is given back is taken again only after all others have
 * been used, so that a late packet or event of a removed peer never meets a new one.
 */
export class PeerIds {
  readonly #byKey = new Map<string, number>()
  readonly #byId = new Map<number, string>()
  #next = 1

  /** The id of this key, given out now when it has none. */
  of(key: string): number {
    const known = this.#byKey.get(key)
    if (known !== undefined) return known
    if (this.#byId.size >= MOST)
      throw new CodedError('agent/too-many-peers', `A network can have at most ${MOST} machines.`)
    while (this.#byId.has(this.#next)) this.#next = (this.#next % MOST) + 1
    const id = this.#next
    this.#next = (id % MOST) + 1
    this.#byKey.set(key, id)
    this.#byId.set(id, key)
    return id
  }

  keyOf(id: number): string | undefined {
    return this.#byId.get(id)
  }

  /** Gives the key a new id: to everything that goes by ids, it is another peer from now on. */
  renew(key: string): void {
    this.#giveBack(key)
    this.of(key)
  }

  /** Gives back the ids of all keys but these. */
  keepOnly(keys: ReadonlySet<string>): void {
    for (const key of this.#byKey.keys()) if (!keys.has(key)) this.#giveBack(key)
  }

  #giveBack(key: string): void {
    const id = this.#byKey.get(key)
    this.#byKey.delete(key)
    if (id !== undefined) this.#byId.delete(id)
  }
}
