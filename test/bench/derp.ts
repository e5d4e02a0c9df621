// What one DERP server carries between two of our clients, ours beside a stock one, and what it costs.
//
//   node --import tsx test/bench/derp.ts [seconds]
//
// Server, sender and receiver are processes of their own on loopback. The sender keeps a window of packets open, as a TCP
// stream through the tunnel would: the receiver acknowledges every few packets through DERP.

import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { NodePrivate, NodePublic } from '../../electron/crypto/keys.ts'
import { listenDerp } from '../../electron/derp/derp-listener.ts'
import { DerpPool } from '../../electron/derp/derp-pool.ts'
import { DerpServer } from '../../electron/derp/derp-server.ts'
import { makeTlsIdentity } from '../../electron/derp/tls-identity.ts'
import { LabProcess } from '../lab/process.ts'
import { stockBinary, stockUnavailable } from '../stock/binaries.ts'

const PACKET_BYTES = 1420
const WINDOW_PACKETS = 512
const ACK_EVERY = 32
const REGION = 900

interface Where {
  readonly port: number
  readonly certName: string
}

interface Told {
  readonly where: Where
  readonly secret: string
  readonly peer: string
}

const mapOf = ({ port, certName }: Where) => {
  const node = { Name: '900a', RegionID: REGION, HostName: '127.0.0.1', DERPPort: port, CertName: certName }
  return { Regions: { [REGION]: { RegionID: REGION, Nodes: [node] } } }
}

const tell = (message: unknown): void => {
  process.send?.(message)
}

/** Without the limit for each client, unless that is what is measured. */
async function serve(isLimited: boolean): Promise<void> {
  const identity = makeTlsIdentity(['127.0.0.1'])
  const server = new DerpServer(isLimited ? {} : { rateLimit: 'off' })
  const listener = await listenDerp({ server, identity, address: '127.0.0.1', port: 0 })
  process.on('message', () => tell({ cpu: process.cpuUsage(), counters: server.counters() }))
  tell({ port: listener.port, certName: identity.sha256Raw })
}

/** Both ends: the sender starts when told to, the receiver only answers. */
function talk({ where, secret, peer }: Told): void {
  const to = NodePublic.parse(peer).bytes
  let received = 0
  let sent = 0
  let acknowledged = 0
  let isSending = false
  const payload = new Uint8Array(PACKET_BYTES)
  const ack = new Uint8Array(8)
  const fill = (): void => {
    if (!isSending) return
    while (sent - acknowledged < WINDOW_PACKETS) {
      pool.send(REGION, to, payload, 'wireguard')
      sent++
    }
  }
  const pool = new DerpPool({
    nodeKey: NodePrivate.parse(secret),
    onDisco: () => {},
    onWireGuard: (_, chunk, spans) => {
      for (let i = 0; i < spans.length; i += 2) {
        if (spans[i + 1] === ack.length) {
          acknowledged = new DataView(chunk.buffer, chunk.byteOffset + (spans[i] ?? 0)).getFloat64(0)
        } else if (++received % ACK_EVERY === 0) {
          new DataView(ack.buffer).setFloat64(0, received)
          pool.send(REGION, to, ack, 'wireguard')
        }
      }
      fill()
    },
    onStatus: (status) => {
      if (status[0]?.connected) tell('connected')
    },
  })
  pool.setMap(mapOf(where))
  pool.setHome(REGION)
  process.on('message', (message) => {
    if (message === 'report') tell({ cpu: process.cpuUsage(), received })
    if (message !== 'start') return
    isSending = true
    fill()
    // A lost packet would stop the window for ever; sooner or later a stream sends it again.
    let before = -1
    setInterval(() => {
      if (acknowledged === before) sent = acknowledged
      before = acknowledged
      fill()
    }, 50)
  })
}

const child = (role: string, told?: Told): ChildProcess =>
  fork(fileURLToPath(import.meta.url), [role, ...(told ? [JSON.stringify(told)] : [])], {
    execArgv: ['--import', 'tsx'],
  })

const answer = async (from: ChildProcess, question?: string): Promise<unknown> => {
  const reply = once(from, 'message', { signal: AbortSignal.timeout(20_000) })
  if (question !== undefined) from.send(question)
  return ((await reply) as [unknown])[0]
}

interface Report {
  readonly cpu: NodeJS.CpuUsage
  readonly received: number
}

const cpuSeconds = ({ cpu }: { readonly cpu: NodeJS.CpuUsage }): number => (cpu.user + cpu.system) / 1e6

async function measure(name: string, where: Where, serverCpu: () => Promise<number>, seconds: number): Promise<void> {
  const [a, b] = [NodePrivate.generate(), NodePrivate.generate()]
  const sender = child('talk', { where, secret: a.secretText(), peer: b.public.text })
  const receiver = child('talk', { where, secret: b.secretText(), peer: a.public.text })
  try {
    await Promise.all([answer(sender), answer(receiver)])
    sender.send('start')
    await sleep(1_000)
    const before = [await answer(sender, 'report'), await answer(receiver, 'report')] as [Report, Report]
    const [cpuBefore, startMs] = [await serverCpu(), performance.now()]
    await sleep(seconds * 1_000)
    const after = [await answer(sender, 'report'), await answer(receiver, 'report')] as [Report, Report]
    const [cpuAfter, tookMs] = [await serverCpu(), performance.now() - startMs]
    const gigabytes = ((after[1].received - before[1].received) * PACKET_BYTES) / 1e9
    const per = (cpu: number): string => (cpu / gigabytes).toFixed(1)
    process.stdout.write(
      `${name.padEnd(8)} ${((gigabytes * 8e3) / tookMs).toFixed(2)} Gbit/s  CPU s per GB: server ${per(cpuAfter - cpuBefore)}` +
        `  sender ${per(cpuSeconds(after[0]) - cpuSeconds(before[0]))}` +
        `  receiver ${per(cpuSeconds(after[1]) - cpuSeconds(before[1]))}\n`,
    )
  } finally {
    sender.kill()
    receiver.kill()
  }
}

async function measureOurs(name: string, role: string, seconds: number): Promise<void> {
  const ours = child(role)
  const where = (await answer(ours)) as Where
  let counters: unknown
  const oursCpu = async (): Promise<number> => {
    const report = (await answer(ours, 'report')) as Report & { counters: unknown }
    counters = report.counters
    return cpuSeconds(report)
  }
  try {
    await measure(name, where, oursCpu, seconds)
    process.stdout.write(`         ${JSON.stringify(counters)}\n`)
  } finally {
    ours.kill()
  }
}

async function compare(seconds: number): Promise<void> {
  await measureOurs('ours', 'serve', seconds)
  await measureOurs('limited', 'serve-limited', seconds)
  const reason = stockUnavailable('tailscale-old')
  if (reason === undefined) await measureStock(seconds)
  else process.stdout.write(`stock    skipped: ${reason}\n`)
}

async function measureStock(seconds: number): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'peerway-bench-'))
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  const files = [
    '-certmode',
    'manual',
    '-certdir',
    dir,
    '-c',
    join(dir, 'derper.json'),
    '-http-port',
    '-1',
    '-stun=false',
  ]
  const command = [
    stockBinary('tailscale-old', 'derper'),
    '-a',
    `127.0.0.1:${port}`,
    '-hostname',
    '127.0.0.1',
    ...files,
  ]
  const stock = new LabProcess(command, { name: 'derper' })
  const cpu = (): Promise<number> => {
    const [user, system] = readFileSync(`/proc/${stock.pid}/stat`, 'utf8').split(' ').slice(13, 15).map(Number)
    return Promise.resolve(((user ?? 0) + (system ?? 0)) / 100)
  }
  try {
    const [, certName = ''] = await stock.waitForOutput(/"(sha256-raw:[0-9a-f]{64})"/)
    await measure('stock', { port, certName }, cpu, seconds)
  } finally {
    await stock.stop()
    rmSync(dir, { recursive: true, force: true })
  }
}

const [role = '', told] = process.argv.slice(2)
if (role === 'serve' || role === 'serve-limited') await serve(role === 'serve-limited')
else if (role === 'talk' && told !== undefined) talk(JSON.parse(told) as Told)
else await compare(Number(role) || 5)
