// An office with two ways in: a network of its own that two machines of the lab stand in, and a printer that knows nothing
// of any tailnet. Who reaches it came through a subnet router.

import type { Lab, Machine } from '../lab/lab.ts'
import type { MeshNode } from '../lab/mesh-node.ts'
import type { Namespace } from '../lab/netns.ts'
import { until, type LabProcess } from '../lab/process.ts'

export const OFFICE = '10.50.0.0/24'
export const PRINTER = '10.50.0.100'
const PORT = 9_100

export interface Office {
  readonly printer: Namespace
  readonly server: LabProcess
}

/** The first router is 10.50.0.1, the next 10.50.0.2. */
export async function buildOffice(lab: Lab, routers: readonly Machine[]): Promise<Office> {
  const hub = await lab.nets.create('office')
  await lab.nets.bridge(hub, 'br0')
  for (const [index, router] of routers.entries())
    await lab.nets.veth(
      { ns: router.ns, name: 'office0', cidrs: [`10.50.0.${index + 1}/24`] },
      { ns: hub, name: `router${index}`, bridge: 'br0' },
    )
  const printer = await lab.nets.create('printer')
  await lab.nets.veth(
    { ns: printer, name: 'eth0', cidrs: [`${PRINTER}/24`] },
    { ns: hub, name: 'printer', bridge: 'br0' },
  )
  return { printer, server: await serveAddresses(printer, PRINTER, PORT) }
}

/** Tells everyone who connects from where. */
export async function serveAddresses(ns: Namespace, host: string, port: number): Promise<LabProcess> {
  const code = `require('net').createServer((s) => { s.on('error', () => {}); s.end(s.remoteAddress + '\\n') })
    .listen(${port}, '${host}', () => console.log('listening'))`
  const server = ns.start([process.execPath, '-e', code], { name: `serve-${ns.role}-${port}` })
  await server.waitForOutput(/listening/)
  return server
}

/** As whom the printer sees this machine; undefined when it cannot be reached within two seconds. */
export const seenByPrinter = (from: MeshNode): Promise<string | undefined> => seenAs(from, PRINTER, PORT)

export async function seenAs(from: MeshNode, host: string, port: number): Promise<string | undefined> {
  const code = `const s = require('net').connect(${port}, '${host}'); s.setTimeout(2000, () => process.exit(1))
    s.on('error', () => process.exit(1)).on('data', (data) => { process.stdout.write(data); process.exit(0) })`
  const { status, stdout } = await from.machine.ns.tryRun([process.execPath, '-e', code])
  return status === 0 ? stdout.trim() : undefined
}

/** Waits until the printer sees the machine as wanted; returns how long that took. */
export async function untilSeen(from: MeshNode, wanted: string | undefined, timeoutMs: number): Promise<number> {
  const started = performance.now()
  let last: string | undefined
  await until(async () => (last = await seenByPrinter(from)) === wanted, {
    timeoutMs,
    everyMs: 100,
    what: `${from.hostname} to come to the printer ${wanted === undefined ? 'no more' : `as ${wanted}`}`,
    explain: () => `last: ${last ?? 'not at all'}\n${from.log().slice(-3_000)}`,
  })
  return performance.now() - started
}
