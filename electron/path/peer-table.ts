// The peers by every name under which something arrives: our number, the node key, the disco key. One disco key may belong
// to several node keys (a shared machine, a change of account), so that name leads to a set.

import { SharedBox } from '../crypto/box.ts'
import type { DiscoPrivate, DiscoPublic, NodePublic } from '../crypto/keys.ts'

/** A disco key in use, with the box that opens what it sealed. */
export class DiscoName<P> {
  readonly key: DiscoPublic
  readonly peers = new Set<P>()
  readonly #ours: DiscoPrivate
  #box: SharedBox | undefined

  constructor(key: DiscoPublic, ours: DiscoPrivate) {
    this.key = key
    this.#ours = ours
  }

  /** Made at first use: it costs an X25519, and most peers of a large tailnet are never spoken to. */
  get box(): SharedBox {
    this.#box ??= new SharedBox(this.#ours.secretBytes(), this.key.bytes)
    return this.#box
  }
}

export class PeerTable<
  P extends { readonly id: number; readonly nodeKey: NodePublic; disco: DiscoName<P> | undefined },
> {
  readonly #ours: DiscoPrivate
  readonly #byId = new Map<number, P>()
  readonly #byNode = new Map<string, P>()
  readonly #byDisco = new Map<string, DiscoName<P>>()

  constructor(ours: DiscoPrivate) {
    this.#ours = ours
  }

  get(id: number): P | undefined {
    return this.#byId.get(id)
  }

  byNode(key: NodePublic): P | undefined {
    return this.#byNode.get(key.text)
  }

  byDisco(key: DiscoPublic): DiscoName<P> | undefined {
    return this.#byDisco.get(key.text)
  }

  /** A copy, so that what is done to each may change the table. */
  all(): readonly P[] {
    return [...this.#byId.values()]
  }

  add(peer: P): void {
    this.#byId.set(peer.id, peer)
    this.#byNode.set(peer.nodeKey.text, peer)
  }

  remove(peer: P): void {
    this.setDisco(peer, undefined)
    this.#byId.delete(peer.id)
    if (this.#byNode.get(peer.nodeKey.text) === peer) this.#byNode.delete(peer.nodeKey.text)
  }

  setDisco(peer: P, key: DiscoPublic | undefined): void {
    const old = peer.disco
    if (old) {
      old.peers.delete(peer)
      if (old.peers.size === 0) this.#byDisco.delete(old.key.text)
    }
    if (!key) {
      peer.disco = undefined
      return
    }
    let name = this.#byDisco.get(key.text)
    if (!name) {
      name = new DiscoName<P>(key, this.#ours)
      this.#byDisco.set(key.text, name)
    }
    name.peers.add(peer)
    peer.disco = name
  }

  get sizes(): { readonly ids: number; readonly nodeKeys: number; readonly discoKeys: number } {
    return { ids: this.#byId.size, nodeKeys: this.#byNode.size, discoKeys: this.#byDisco.size }
  }
}
