import { Listeners } from '../base/lifetime.ts'
import { type AgentSnapshot, emptySnapshot } from '../contract/snapshot.ts'

export class SnapshotStore {
  #now: AgentSnapshot
  readonly #listeners = new Listeners<AgentSnapshot>()

  constructor(version: string) {
    this.#now = { ...emptySnapshot, version }
  }

  get now(): AgentSnapshot {
    return this.#now
  }

  /** The only way state changes. A change that alters nothing makes no new revision and wakes nobody. */
  update(change: (now: AgentSnapshot) => Partial<Omit<AgentSnapshot, 'revision'>>): void {
    const changed = change(this.#now)
    const differs = Object.entries(changed).some(([name, value]) => this.#now[name as keyof AgentSnapshot] !== value)
    if (!differs) return
    this.#now = { ...this.#now, ...changed, revision: this.#now.revision + 1 }
    this.#listeners.emit(this.#now)
  }

  subscribe(listener: (next: AgentSnapshot) => void): () => void {
    return this.#listeners.add(listener)
  }
}
