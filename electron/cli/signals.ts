/** Resolves at the first SIGTERM or SIGINT; a second one ends the process at once. */
export function untilTold(): Promise<void> {
  return new Promise((resolve) => {
    let told = false
    // Keeps the process alive: all other timers and sockets of ours may be unreferenced.
    const alive = setInterval(() => {}, 1 << 30)
    const tell = (): void => {
      if (told) process.exit(130)
      told = true
      clearInterval(alive)
      resolve()
    }
    process.on('SIGTERM', tell)
    process.on('SIGINT', tell)
  })
}
