/** Things to undo, undone in reverse order; a failure of one does not keep the others from being undone. */
export class Lifetime {
  readonly #undo: (() => unknown)[] = []
  #ended = false

  get ended(): boolean {
    return this.#ended
  }

  /** Registers `undo`; when the lifetime has already ended it runs at once. */
  defer(undo: () => unknown): void {
    if (this.#ended) void Promise.resolve().then(undo)
    else this.#undo.push(undo)
  }

  /** Undoes everything; the first failure is thrown after all have run. Idempotent. */
  async end(): Promise<void> {
    if (this.#ended) return
    this.#ended = true
    let failure: { error: unknown } | undefined
    for (let undo = this.#undo.pop(); undo; undo = this.#undo.pop()) {
      try {
        await undo()
      } catch (error) {
        failure ??= { error }
      }
    }
    if (failure) throw failure.error
  }
}

/** A set of listeners of one event. Listeners that throw do not keep others from hearing. */
export class Listeners<T> {
  readonly #all = new Set<(value: T) => void>()

  add(listener: (value: T) => void): () => void {
    this.#all.add(listener)
    return () => this.#all.delete(listener)
  }

  emit(value: T, onError: (error: unknown) => void = () => {}): void {
    for (const listener of this.#all) {
      try {
        listener(value)
      } catch (error) {
        onError(error)
      }
    }
  }

  get size(): number {
    return this.#all.size
  }
}
