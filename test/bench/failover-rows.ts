// The rows of the failover table: what happens, what is measured, and what it should be at most.

import { until } from '../lab/process.ts'
import { startTransfer } from '../lab/transfer.ts'
import { homeOf, type Kinds, type Pair, type Region, startDerpPair, startPair } from './failover-lab.ts'
import { pause, UdpFlow, wallMs } from './udp-flow.ts'

export interface Row {
  readonly name: RowName
  readonly what: string
  readonly targetMs: number
  /** Where it is another one with a stock client at one end. */
  readonly mixedTargetMs?: number
}

export const rows = [
  { name: 'direct-dies', what: 'direct path dies silently: gap', targetMs: 1_500, mixedTargetMs: 3_500 },
  { name: 'to-relay', what: 'the same, until the pair is on a peer relay', targetMs: 3_000 },
  { name: 'direct-again', what: 'direct possible again: in use at both ends', targetMs: 1_000 },
  { name: 'direct-again-lost', what: '… datagrams lost', targetMs: 0 },
  { name: 'relay-killed', what: 'relay killed while in use: gap', targetMs: 1_500 },
  { name: 'relay-back', what: '… back on it after its start', targetMs: 15_000 },
  { name: 'derp-frozen', what: 'home DERP frozen: gap', targetMs: 4_000 },
  { name: 'derp-frozen-no-udp', what: 'the same with UDP blocked', targetMs: 6_000 },
  { name: 'new-address', what: "a node's address changes: gap", targetMs: 1_000 },
  { name: 'fresh', what: 'fresh pair, easy–easy or easy–hard: first answer', targetMs: 1_000 },
  { name: 'fresh-direct', what: '… easy–easy: direct in use at both ends', targetMs: 2_000 },
  { name: 'hard-relay', what: 'hard–hard, fresh: on the relay after the first answer', targetMs: 2_000 },
  { name: 'hard-relay-late', what: '… after a direct path was lost', targetMs: 2_000 },
] as const satisfies readonly { name: string; what: string; targetMs: number; mixedTargetMs?: number }[]

export type RowName = (typeof rows)[number]['name']

/** Takes one figure of one round; `note` is shown beside the row. */
export interface Sheet {
  wants(...names: readonly RowName[]): boolean
  put(name: RowName, value: number): void
  note(name: RowName, text: string): void
}

/** No wait of a round is longer; the slowest known comes back within half a minute, or not at all. */
const MOST_MS = 40_000

/** All implementations leave a region after a minute without use, and look four times a minute. */
const LEFT_BEHIND_MS = 78_000

/** So that the event meets all phases of the intervals at which either end looks. */
const phase = (round: number): Promise<void> => pause(3_000 + round * 370)

export async function measure(kinds: Kinds, rounds: number, sheet: Sheet): Promise<void> {
  const frozen = (['derp-frozen', 'derp-frozen-no-udp'] as const).filter((name) => sheet.wants(name))
  // Those wait most of the time, and a lab is idle but for one datagram each 20 ms.
  await Promise.all([
    ...frozen.map((name) => derpFrozen(kinds, Math.ceil(rounds / 2), sheet, name)),
    inPair(kinds, rounds, sheet),
  ])
}

const DIRECT = ['direct-dies', 'direct-again', 'direct-again-lost', 'new-address', 'fresh', 'fresh-direct'] as const
const RELAY = ['to-relay', 'hard-relay-late', 'relay-killed', 'relay-back', 'hard-relay'] as const

async function inPair(kinds: Kinds, rounds: number, sheet: Sheet): Promise<void> {
  if (!sheet.wants(...DIRECT, ...RELAY)) return
  const pair = await startPair(kinds)
  try {
    await pair.untilDirect()
    if (sheet.wants('direct-dies', 'direct-again', 'direct-again-lost')) await directDies(pair, rounds, sheet)
    if (sheet.wants('new-address')) await newAddress(pair, rounds, sheet)
    if (sheet.wants('fresh', 'fresh-direct')) await fresh(pair, rounds, sheet)
    if (!sheet.wants(...RELAY)) return
    await pair.become('easy', 'easy')
    await pair.startRelay()
    await pair.untilDirect()
    if (sheet.wants('to-relay', 'hard-relay-late')) await toRelay(pair, rounds, sheet)
    if (sheet.wants('relay-killed', 'relay-back')) await relayKilled(pair, rounds, sheet)
    if (sheet.wants('hard-relay')) await hardRelay(pair, rounds, sheet)
  } finally {
    await pair.close()
  }
}

async function directDies(pair: Pair, rounds: number, sheet: Sheet): Promise<void> {
  const flow = await UdpFlow.start(pair.a, pair.b)
  for (let round = 0; round < rounds; round++) {
    await phase(round)
    const cutMs = wallMs()
    await pair.cutDirect()
    await flow.isBack(cutMs, MOST_MS)
    sheet.put('direct-dies', flow.gapMs(cutMs))
    // Until everyone has given the direct path up.
    await pause(9_000)
    const mendedMs = wallMs()
    await pair.mendDirect()
    sheet.put('direct-again', (await pair.capture.untilBothOn('direct', mendedMs, MOST_MS)) - mendedMs)
    await pause(1_000)
    sheet.put('direct-again-lost', flow.lost(mendedMs - 500, wallMs() - 500))
  }
  await flow.stop()
}

async function newAddress(pair: Pair, rounds: number, sheet: Sheet): Promise<void> {
  const { a, b, lab } = pair
  const stream = await startTransfer(b, a, { bytesPerSecond: 100_000, timeoutMs: 600_000 })
  const flow = await UdpFlow.start(a, b)
  const { ns, address } = lab.client(0)
  const gateway = address.replace(/\d+$/, '1')
  let current = address
  let changes = 0
  for (let round = 0; round < rounds; round++) {
    await phase(round)
    const next = address.replace(/\d+$/, String(100 + round))
    const seen = (): number => (a.log().match(/the network changed/g) ?? []).length
    const seenBefore = seen()
    const sinceMs = wallMs()
    await ns.ip(`addr del ${current}/24 dev eth0`, `addr add ${next}/24 dev eth0`, `route add default via ${gateway}`)
    current = next
    await flow.isBack(sinceMs, MOST_MS)
    await pause(4_000)
    sheet.put('new-address', flow.gapMs(sinceMs))
    changes = Math.max(changes, seen() - seenBefore)
    await pair.untilDirect()
  }
  if (pair.kinds[0] === 'ours') sheet.note('new-address', `${changes} rebind${changes === 1 ? '' : 's'} each`)
  const ended = await stream.finish().then(
    ({ longestGapMs }) => `TCP intact, ${longestGapMs} ms its longest gap`,
    () => 'TCP stream broken',
  )
  sheet.note('new-address', ended)
  await flow.stop()
  await ns.ip(`addr del ${current}/24 dev eth0`, `addr add ${address}/24 dev eth0`, `route add default via ${gateway}`)
}

async function fresh(pair: Pair, rounds: number, sheet: Sheet): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    // Between an easy and a hard router no direct path is possible without a forwarded port.
    const isEasy = round % 2 === 0
    await pair.become('easy', isEasy ? 'easy' : 'hard')
    // Whoever has just joined tries it at once.
    await pair.renewBoth(0)
    const flow = await UdpFlow.start(pair.a, pair.b)
    await flow.isBack(flow.firstSentMs - 200, MOST_MS)
    sheet.put('fresh', (flow.firstAnsweredMs() ?? Infinity) - flow.firstSentMs)
    if (isEasy) {
      const directMs = await pair.capture.untilBothOn('direct', flow.firstSentMs, MOST_MS)
      sheet.put('fresh-direct', directMs - flow.firstSentMs)
    }
    await flow.stop()
  }
}

async function toRelay(pair: Pair, rounds: number, sheet: Sheet): Promise<void> {
  const flow = await UdpFlow.start(pair.a, pair.b)
  for (let round = 0; round < rounds; round++) {
    // A path that dies three times in half a minute is left alone for a while by ours.
    await pause(10_000)
    await phase(round)
    const cutMs = wallMs()
    await pair.cutDirect()
    const relayedMs = await pair.capture.untilBothOn('relay', cutMs, MOST_MS)
    await flow.isBack(cutMs, MOST_MS)
    sheet.put('to-relay', relayedMs - cutMs)
    sheet.put('hard-relay-late', Math.max(relayedMs - flow.backMs(cutMs), 0))
    const mendedMs = wallMs()
    await pair.mendDirect()
    await pair.capture.untilBothOn('direct', mendedMs, MOST_MS)
  }
  await flow.stop()
}

async function relayKilled(pair: Pair, rounds: number, sheet: Sheet): Promise<void> {
  const flow = await UdpFlow.start(pair.a, pair.b)
  await pair.cutDirect()
  await pair.capture.untilBothOn('relay', wallMs(), MOST_MS)
  for (let round = 0; round < rounds; round++) {
    await phase(round)
    const killedMs = wallMs()
    pair.relay?.process.signal('SIGKILL')
    await flow.isBack(killedMs, MOST_MS)
    await pause(8_000)
    sheet.put('relay-killed', flow.gapMs(killedMs))
    const startedMs = wallMs()
    await pair.restartRelay()
    sheet.put('relay-back', (await pair.capture.untilBothOn('relay', startedMs, 2 * MOST_MS)) - startedMs)
  }
  await flow.stop()
  await pair.mendDirect()
}

async function hardRelay(pair: Pair, rounds: number, sheet: Sheet): Promise<void> {
  await pair.become('hard', 'hard')
  for (let round = 0; round < rounds; round++) {
    await pair.renewBoth()
    const flow = await UdpFlow.start(pair.a, pair.b)
    await flow.isBack(flow.firstSentMs - 200, MOST_MS)
    const relayedMs = await pair.capture.untilBothOn('relay', flow.firstSentMs, MOST_MS)
    sheet.put('hard-relay', Math.max(relayedMs - (flow.firstAnsweredMs() ?? Infinity), 0))
    await flow.stop()
  }
}

async function derpFrozen(
  kinds: Kinds,
  rounds: number,
  sheet: Sheet,
  name: 'derp-frozen' | 'derp-frozen-no-udp',
): Promise<void> {
  const { pair, derps } = await startDerpPair(kinds)
  try {
    if (name === 'derp-frozen-no-udp') await pair.lab.blockUdp()
    const flow = await UdpFlow.start(pair.a, pair.b)
    const nodes = [pair.a, pair.b]
    /** Freezes the region until both are at home in the other. */
    const freeze = async (region: Region, whileFrozen: () => Promise<void>): Promise<void> => {
      derps.get(region)?.signal('SIGSTOP')
      await whileFrozen()
      const areAway = async (): Promise<boolean> => {
        const homes = await Promise.all(nodes.map(homeOf))
        return homes.every((home) => home !== undefined && home !== region)
      }
      await until(areAway, { timeoutMs: 2 * MOST_MS, everyMs: 500, what: 'another home' }).catch(() => undefined)
      derps.get(region)?.signal('SIGCONT')
      // A connection to the old home would be a way that nobody has who was at home in one place for long.
      await pause(LEFT_BEHIND_MS)
    }
    await flow.isBack(wallMs(), 2 * MOST_MS)
    const [home, other] = await Promise.all(nodes.map(homeOf))
    if (home !== undefined && other !== undefined && home !== other) await freeze(other, () => pause(1_000))
    for (let round = 0; round < rounds; round++) {
      await flow.isBack(wallMs(), 2 * MOST_MS)
      const region = await homeOf(pair.a)
      if (region === undefined) throw new Error('a has no home region')
      await phase(round)
      const sinceMs = wallMs()
      await freeze(region, async () => {
        await flow.isBack(sinceMs, 2 * MOST_MS)
        await pause(2_000)
        sheet.put(name, flow.gapMs(sinceMs))
      })
    }
    await flow.stop()
  } finally {
    await pair.close()
  }
}
