// A TCP transfer through the tunnel that must arrive whole, whatever happens to the path meanwhile.

import assert from 'node:assert/strict'
import { fileURLToPath } from 'node:url'
import { addressOf, type MeshNode } from './mesh-node.ts'
import { until } from './process.ts'

const PROGRAM = fileURLToPath(new URL('transfer.mjs', import.meta.url))
/** For a transfer that ends when it is told to: more than any test waits for. */
const OPEN_ENDED_BYTES = 1e12
let nextPort = 7_000

export interface TransferOptions {
  /** Until `finish` is called when left out. */
  readonly bytes?: number
  /** As fast as it goes when left out. */
  readonly bytesPerSecond?: number
  readonly timeoutMs: number
}

export interface TransferResult {
  readonly bytes: number
  readonly seconds: number
  /** The longest time without a byte at the receiver. */
  readonly longestGapMs: number
}

export interface Transfer {
  /** Settles when all has arrived and the hashes agree; rejects when it did not. */
  readonly done: Promise<TransferResult>
  /** Waits until this many more bytes have arrived. */
  progress(bytes: number, timeoutMs: number): Promise<void>
  /** Ends the stream after what was sent up to now. */
  finish(): Promise<TransferResult>
}

export async function startTransfer(from: MeshNode, to: MeshNode, options: TransferOptions): Promise<Transfer> {
  const address = await addressOf(to)
  const port = String((nextPort += 1))
  const receiver = to.machine.ns.start([process.execPath, PROGRAM, 'receive', address, port], {
    name: `receive-${port}`,
  })
  await receiver.waitForOutput(/^listening$/m)
  const amounts = [String(options.bytes ?? OPEN_ENDED_BYTES), String(options.bytesPerSecond ?? 0)]
  const started = performance.now()
  const sender = from.machine.ns.start([process.execPath, PROGRAM, 'send', address, port, ...amounts], {
    name: `send-${port}`,
  })
  const toTheEnd = async (): Promise<TransferResult> => {
    try {
      const [sent = ''] = await sender.waitForOutput(/^\{.*\}$/m, options.timeoutMs)
      const seconds = (performance.now() - started) / 1000
      const [received = ''] = await receiver.waitForOutput(/^\{.*\}$/m, 5_000)
      const here = JSON.parse(sent) as { bytes: number; sha256: string }
      const there = JSON.parse(received) as { bytes: number; sha256: string; longestGapMs: number }
      assert.deepEqual([there.bytes, there.sha256], [here.bytes, here.sha256], 'what arrived is not what was sent')
      return { bytes: there.bytes, seconds, longestGapMs: there.longestGapMs }
    } finally {
      await sender.stop()
      await receiver.stop()
    }
  }
  const done = toTheEnd()
  done.catch(() => undefined) // whoever awaits it hears of it; until then it must not end the process
  const received = (): number => Number([...receiver.stdout.matchAll(/^received (\d+)$/gm)].at(-1)?.[1] ?? 0)
  return {
    done,
    async progress(bytes, timeoutMs) {
      const before = received()
      const what = `${bytes} more bytes at ${to.hostname} after ${before}`
      await until(() => Promise.resolve(received() >= before + bytes), { timeoutMs, what })
    },
    finish() {
      sender.signal('SIGUSR2')
      return done
    },
  }
}

export async function transfer(from: MeshNode, to: MeshNode, options: TransferOptions): Promise<TransferResult> {
  return (await startTransfer(from, to, options)).done
}
