// Opens data planes in one process and in a worker, and looks whether their threads end when they should. Run in a
// network namespace of its own; what it finds it prints.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'

import { openDataplane } from '../../electron/dataplane/native-dataplane.ts'
import { until } from './process.ts'

const open = (name: string) =>
  openDataplane({
    privateKey: randomBytes(32),
    tun: { kind: 'name', name, mtuBytes: 1280 },
    udpPort: 0,
    firewallMark: 0,
  })

/** Our data threads in this process. */
const dataThreads = () =>
  readdirSync('/proc/self/task').filter((task) => {
    try {
      return readFileSync(`/proc/self/task/${task}/comm`, 'utf8').startsWith('peerway-')
    } catch {
      return false // ended between the two calls
    }
  }).length

/** A thread names itself when it first runs, and its entry outlives its end by a moment. */
const threadsBecome = (count: number) =>
  until(async () => dataThreads() === count, { what: `${count} data threads`, timeoutMs: 2_000, everyMs: 5 })

const [one, two] = [open('pw0'), open('pw1')]
assert.notEqual(one.ports.v4, two.ports.v4)
await threadsBecome(4)
process.stdout.write('two open\n')

// Plain JavaScript straight on the addon: a worker of Node 20 cannot load our sources.
const addon = process.env['PEERWAY_ADDON'] ?? fileURLToPath(new URL('../../native/peerway.node', import.meta.url))
const options = { tunName: 'pw2', mtuBytes: 1280, udpPort: 0, firewallMark: 0, originMs: 0 }
const source = `
  const { NativeDataplane } = require(${JSON.stringify(addon)})
  const options = { privateKey: new Uint8Array(32).fill(7), ...${JSON.stringify(options)} }
  globalThis.kept = NativeDataplane.open(options, () => {})
  require('node:worker_threads').parentPort.postMessage('open')
  setInterval(() => {}, 1000)
`
const worker = new Worker(source, { eval: true })
await new Promise((resolve, reject) => {
  worker.once('message', resolve).once('error', reject)
})
await threadsBecome(6)
await worker.terminate()
await threadsBecome(4)
process.stdout.write('worker gone with its threads\n')

one.close()
two.close()
await threadsBecome(0)
process.stdout.write('all closed\n')

// Left open: the process has to end all the same.
open('pw0')
