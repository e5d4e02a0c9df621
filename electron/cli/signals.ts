/**
 * A Ctrl-C reaches every process of a terminal's group, and a launcher passes it on once more: what comes this soon after the
 * first signal is the same wish, not a second one.
 */
const SAME_WISH_MS = 1_000

/** Resolves at the first SIGTERM or SIGINT; a later second one ends the process at once. Rejects when `trouble` does. */
export function untilTold(trouble?: Promise<never>): Promise<void> {
  return new Promise((resolve, reject) => {
    let toldAtMs: number | undefined
    // Keeps the process alive: all other timers and sockets of ours may be unreferenced.
    const alive = setInterval(() => {}, 1 << 30)
    trouble?.catch((error: unknown) => {
      clearInterval(alive)
      reject(error instanceof Error ? error : new Error(String(error)))
    })
    const tell = (): void => {
      const now = performance.now()
      if (toldAtMs !== undefined && now - toldAtMs > SAME_WISH_MS) process.exit(130)
      if (toldAtMs !== undefined) return
      toldAtMs = now
      clearInterval(alive)
      resolve()
    }
    process.on('SIGTERM', tell)
    process.on('SIGINT', tell)
  })
}
