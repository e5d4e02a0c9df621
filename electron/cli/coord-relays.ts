import type { CandidateInfo, RelayAdviceInfo, RelayGainInfo } from '../coord/advice/advice-info.ts'
import { adminOptionHelp, adminOptions, answer, ask, list } from './coord-admin.ts'
import type { Command } from './command.ts'

/** Of one node; the rest is in --json. */
const PAIRS_SHOWN = 3

export const relaysAdvice: Command = {
  name: 'coord relays advice',
  summary: 'Names the nodes that would help others as a relay, and what relays have brought.',
  usage: ['coord relays advice [--json]'],
  help: adminOptionHelp,
  options: adminOptions,
  example: 'peerway coord relays advice',
  positionals: [0, 0],
  async run(call) {
    return answer(call, await ask(call, 'relays.advice', {}), adviceText)
  },
}

export function adviceText(advice: RelayAdviceInfo): string {
  if (!advice.isGathering) return 'No server runs here, so nobody has reported anything. Start it: peerway coord serve'
  const parts: string[] = []
  if (advice.candidates.length > 0) {
    parts.push(
      `As a relay these would help, best first:\n${list(['NODE', 'PAIRS', 'SAVES', 'BASIS', 'FOR'], advice.candidates, candidateCells)}`,
    )
    const [best] = advice.candidates
    if (best)
      parts.push(
        best.isRelay
          ? `${best.node} relays already; the pairs named move to it by themselves when they talk.`
          : `On ${best.node}: peerway set --relay-server-port 40000`,
      )
    if (advice.candidates.some((one) => one.measuredCount < one.pairCount))
      parts.push('"Estimated" rests on latencies to DERP regions, which is all that other clients tell.')
  } else
    parts.push(
      advice.pairsInNeed === 0
        ? 'No pair that talks needs a relay, as far as the nodes have reported: they do so every three minutes.'
        : `${pairs(advice.pairsInNeed)} on DERP or slow, but no node that could relay is known to be faster.`,
    )
  if (advice.relays.length > 0)
    parts.push(
      `What relays have brought:\n${list(['RELAY', 'PAIRS', 'IN USE', 'SAVED', 'SLOWER', 'FOR'], advice.relays, gainCells)}`,
    )
  return parts.join('\n\n')
}

function candidateCells({ node, pairCount, measuredCount, savedMs, pairs }: CandidateInfo): string[] {
  const basis =
    measuredCount === pairCount
      ? 'measured'
      : measuredCount === 0
        ? 'estimated'
        : `${pairCount - measuredCount} estimated`
  const shown = pairs.map((pair) => `${pair.nodes.join(' – ')} (${ms(pair.nowMs)} → ${ms(pair.thenMs)})`)
  return [node, String(pairCount), ms(savedMs), basis, someOf(shown, pairCount)]
}

function gainCells({ node, pairCount, inUseCount, slowerCount, savedMs, pairs }: RelayGainInfo): string[] {
  const shown = pairs.map(
    (pair) =>
      `${pair.nodes.join(' – ')} (${ms(pair.beforeMs)}${pair.basis === 'estimated' ? ' estimated' : ''} → ${ms(pair.afterMs)})`,
  )
  return [node, String(pairCount), String(inUseCount), ms(savedMs), String(slowerCount), someOf(shown, pairCount)]
}

function someOf(shown: readonly string[], all: number): string {
  const some = shown.slice(0, PAIRS_SHOWN)
  return all > some.length ? `${some.join(', ')} and ${all - some.length} more` : some.join(', ')
}

const ms = (value: number): string => `${Math.abs(value) < 10 ? value.toFixed(1) : Math.round(value)} ms`

const pairs = (count: number): string => (count === 1 ? 'One pair is' : `${count} pairs are`)
