// A TCP transfer through the tunnel that must arrive whole, whatever happens to the path meanwhile.

import assert from 'node:assert/strict'
import { fileURLToPath } from 'node:url'
import { addressOf, type MeshNode } from './mesh-node.ts'

const PROGRAM = fileURLToPath(new URL('transfer.mjs', import.meta.url))
let nextPort = 7_000

export interface TransferOptions {
  readonly bytes: number
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

/** Starts the transfer; `done` settles when it has arrived and the hashes agree, and rejects when it did not. */
export async function startTransfer(
  from: MeshNode,
  to: MeshNode,
  options: TransferOptions,
): Promise<{ readonly done: Promise<TransferResult> }> {
  const address = await addressOf(to)
  const port = String((nextPort += 1))
  const receiver = to.machine.ns.start([process.execPath, PROGRAM, 'receive', address, port], {
    name: `receive-${port}`,
  })
  await receiver.waitForOutput(/^listening$/m)
  const amounts = [String(options.bytes), String(options.bytesPerSecond ?? 0)]
  const started = performance.now()
  const sender = from.machine.ns.start([process.execPath, PROGRAM, 'send', address, port, ...amounts], {
    name: `send-${port}`,
  })
  const finish = async (): Promise<TransferResult> => {
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
  const done = finish()
  done.catch(() => undefined) // whoever awaits it hears of it; until then it must not end the process
  return { done }
}

export async function transfer(from: MeshNode, to: MeshNode, options: TransferOptions): Promise<TransferResult> {
  return (await startTransfer(from, to, options)).done
}
