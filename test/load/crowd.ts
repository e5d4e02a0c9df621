// A crowd of machines in one process, driven through the hours that a server fears: all register, one moves, all drop and come
// back. Run by load.ts in a namespace of its own; prints one JSON line at the end of each phase.
//
//   node --import tsx test/load/crowd.ts '{"urls": […], "authKeys": […], "nodes": 1000, …}'

import { setTimeout as sleep } from 'node:timers/promises'
import { serverKeyOf } from '../../electron/coord/test-machine.ts'
import { CrowdMember } from './crowd-member.ts'
import { quantiles, type CrowdPlan, type PhaseReport } from './report.ts'

/** Machines of one network do not all ask in the same millisecond. */
const IN_FLIGHT = 48
const PHASE_MS = 180_000
const RETURN_MS = 75_000
const DELTA_MS = 15_000
const DELTA_ROUNDS = 12
/** After the last machine is back, until nobody is shown offline any more; longer is wrong. */
const SETTLE_MS = 10_000

type Crowd = readonly CrowdMember[]

const plan = JSON.parse(process.argv[2] ?? '') as CrowdPlan

async function main(): Promise<void> {
  const serverKey = await serverKeyOf(plan.urls[0] ?? '')
  const perSegment = plan.nodes / plan.authKeys.length
  const members = Array.from({ length: plan.nodes }, (_, i) => {
    const authKey = plan.authKeys[Math.floor(i / perSegment)] ?? ''
    const localAddress = plan.sources[i % plan.sources.length]
    return new CrowdMember({
      url: plan.urls[i % plan.urls.length] ?? '',
      hostname: `node-${i}`,
      authKey,
      expected: perSegment - 1,
      route: { serverKey, ...(localAddress !== undefined && { localAddress }) },
      onEndpoints: (member, peer, endpoints, bytes) => watcher?.(member, peer, endpoints, bytes),
    })
  })
  const phases = [register, (all: Crowd) => deltas(all, perSegment), repeat, comeBack]
  for (const phase of plan.urls.length > 1 ? [...phases, moveOver] : phases) {
    print(await phase(members))
    // Whoever reads the line looks at the server before the next phase begins.
    await sleep(1_000)
  }
  process.exit(0)
}

let watcher: CrowdMember['options']['onEndpoints'] | undefined

/** Everybody registers and opens a stream; over when all maps are complete, or never will be. */
async function register(members: Crowd): Promise<PhaseReport> {
  const startMs = performance.now()
  const queue = [...members]
  const maps: Promise<unknown>[] = []
  const failures: string[] = []
  let registeredMs = 0
  await Promise.all(
    Array.from({ length: IN_FLIGHT }, async () => {
      for (let member = queue.shift(); member; member = queue.shift()) {
        try {
          await member.register()
          // As clients do: what the stream's request says of keys and endpoints is not taken from a newer one.
          await member.setEndpoints([`203.0.113.${members.indexOf(member) % 250}:41641`])
          registeredMs = performance.now() - startMs
          const map = member.poll()
          map.catch((error: unknown) => failures.push(String(error)))
          maps.push(map)
          // The first message is there before the next machine of this lane comes.
          while (member.messages === 0 && performance.now() - startMs < PHASE_MS) await sleep(5)
        } catch (error) {
          failures.push(String(error))
        }
      }
    }),
  )
  // Nothing is measured of a server that takes nobody.
  if (maps.length === 0) throw new Error(`nobody could register: ${failures[0]}`)
  const isOver = () => members.every(({ isComplete }) => isComplete)
  while (!isOver() && performance.now() - startMs < PHASE_MS) await sleep(50)
  return {
    phase: 'register',
    values: {
      registeredSeconds: registeredMs / 1000,
      completeSeconds: (performance.now() - startMs) / 1000,
      incomplete: members.filter(({ isComplete }) => !isComplete).length,
      failures: failures.length,
    },
    note: failures[0],
  }
}

/** One machine's endpoints change: how long until each that may see it knows, and what a message of that costs. */
async function deltas(members: Crowd, perSegment: number): Promise<PhaseReport> {
  const took: number[] = []
  const sizes: number[] = []
  let missed = 0
  for (let round = 0; round < DELTA_ROUNDS; round++) {
    const segment = round % plan.authKeys.length
    const inSegment = members.slice(segment * perSegment, (segment + 1) * perSegment)
    const mover = inSegment[(round * 37) % perSegment]
    if (!mover) continue
    const endpoint = `198.51.100.${round + 1}:${20_000 + round}`
    const waiting = new Set(inSegment.filter((member) => member !== mover && member.isComplete))
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, DELTA_MS)
      const startMs = performance.now()
      watcher = (member, peer, endpoints, bytes) => {
        if (peer !== mover.id || !endpoints.includes(endpoint) || !waiting.delete(member)) return
        took.push(performance.now() - startMs)
        sizes.push(bytes)
        if (waiting.size > 0) return
        clearTimeout(timer)
        resolve()
      }
      mover.setEndpoints([endpoint, `192.168.1.${round + 1}:41641`]).catch(() => {})
    })
    watcher = undefined
    missed += waiting.size
    await sleep(400)
  }
  const { p50, p99, max } = quantiles(took)
  return { phase: 'delta', values: { p50Ms: p50, p99Ms: p99, maxMs: max, missed, bytes: quantiles(sizes).p50 } }
}

/** The same again is no news. */
async function repeat(members: Crowd): Promise<PhaseReport> {
  const endpoints = ['203.0.113.200:1']
  const [mover] = members
  await mover?.setEndpoints(endpoints)
  await sleep(2_000)
  const before = sum(members.map(({ messages }) => messages))
  for (let i = 0; i < 10; i++) await mover?.setEndpoints(endpoints)
  await sleep(2_000)
  return { phase: 'repeat', values: { messages: sum(members.map(({ messages }) => messages)) - before } }
}

/** All connections break at once, and all machines are back within `returnWithinMs`. */
async function comeBack(members: Crowd): Promise<PhaseReport> {
  for (const member of members) member.drop()
  return { phase: 'return', values: await returning(members, members) }
}

/** One of several servers falls; its machines go to the others. */
async function moveOver(members: Crowd): Promise<PhaseReport> {
  const [fallen, others] = [plan.urls.at(-1), plan.urls.slice(0, -1)]
  const homeless = members.filter(({ url }) => url === fallen)
  const startMs = performance.now()
  while (homeless.some(({ isConnected }) => isConnected) && performance.now() - startMs < PHASE_MS) await sleep(20)
  for (const [i, member] of homeless.entries()) member.moveTo(others[i % others.length] ?? '')
  return { phase: 'move', values: await returning(homeless, members) }
}

async function returning(coming: Crowd, members: Crowd): Promise<PhaseReport['values']> {
  const startMs = performance.now()
  const took: number[] = []
  let retries = 0
  const isLate = () => performance.now() - startMs > RETURN_MS
  await Promise.all(
    coming.map(async (member) => {
      await sleep(Math.random() * plan.returnWithinMs)
      const ownStartMs = performance.now()
      while (!isLate()) {
        try {
          await Promise.race([member.poll(), sleep(Math.max(RETURN_MS - (performance.now() - startMs), 1)).then(late)])
          took.push(performance.now() - ownStartMs)
          return
        } catch {
          retries++
          member.drop()
          await sleep(500 + Math.random() * 1_000)
        }
      }
    }),
  )
  const allSeconds = (performance.now() - startMs) / 1000
  const settleMs = performance.now()
  const offline = () => new Set(members.flatMap((member) => member.offlinePeers())).size
  while (offline() > 0 && performance.now() - settleMs < SETTLE_MS) await sleep(250)
  const { p50, p95, max } = quantiles(took)
  return {
    allSeconds,
    p50Ms: p50,
    p95Ms: p95,
    maxMs: max,
    incomplete: members.filter(({ isComplete }) => !isComplete).length,
    shownOffline: offline(),
    retries,
  }
}

function late(): never {
  throw new Error('too late')
}

const sum = (values: readonly number[]): number => values.reduce((all, one) => all + one, 0)

const print = (report: PhaseReport): void => void process.stdout.write(`${JSON.stringify(report)}\n`)

await main()
