// Tells at once when the kernel changes a link, an address or a route: what `ip monitor` prints, without reading it. Looking at
// intervals finds the same, seconds later, and is what is left where the program is missing.

import { spawn } from 'node:child_process'
import { Socket } from 'node:net'
import type { Clock } from '../base/clock.ts'

/** A monitor that ends by itself is started again, at most this often. */
const RESTART_MS = 10_000

/** Until the returned function is called. Other systems than Linux have no such program: nothing is ever told. */
export function onLinkEvents(clock: Clock, told: () => void): () => void {
  if (process.platform !== 'linux') return () => {}
  let isOver = false
  let stop = (): void => {}
  const start = (): void => {
    if (isOver) return
    const monitor = spawn('ip', ['monitor', 'link', 'address', 'route'], { stdio: ['ignore', 'pipe', 'ignore'] })
    let cancel = (): void => {}
    const again = (): void => {
      cancel()
      cancel = clock.after(RESTART_MS, start)
    }
    monitor.once('error', again)
    monitor.once('exit', again)
    monitor.stdout.on('data', told)
    // Never a reason for the agent to go on living.
    monitor.unref()
    // A pipe to a child is a socket, though its type does not say so.
    if (monitor.stdout instanceof Socket) monitor.stdout.unref()
    stop = () => {
      monitor.off('exit', again)
      monitor.off('error', again)
      monitor.on('error', () => {})
      cancel()
      monitor.kill('SIGKILL')
    }
  }
  start()
  return () => {
    isOver = true
    stop()
  }
}
