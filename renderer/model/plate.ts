// What the connect control shows. A wish that was just clicked counts until the agent has caught up.

import type { AgentSnapshot, TailnetView } from '../../electron/contract/snapshot.ts'
import { words } from '../words.ts'
import { hostOf } from './join-input.ts'
import { presenceOf } from './machines.ts'
import { byText } from './time.ts'

export type Wish = 'on' | 'off' | undefined

export interface Plate {
  readonly look: 'off' | 'busy' | 'on' | 'warn'
  readonly drawing: 'apart' | 'growing' | 'joined' | 'serving'
  readonly badge: boolean
  readonly word: string
  readonly line: string
  /** Where the switch stands. */
  readonly at: 'off' | 'half' | 'on'
}

/** A key that ends within this time asks for a sign-in. */
export const EXPIRY_NOTICE_MS = 7 * 24 * 3_600_000

export function plateOf(agent: AgentSnapshot, wish: Wish, nowMs: number): Plate {
  const text = words.plate
  if (wish === 'off') return off(text.off)
  if (agent.state === 'running') return running(agent, nowMs)
  if (agent.state === 'starting' || wish === 'on')
    return { look: 'busy', drawing: 'growing', badge: false, word: text.busyWord, line: waitingLine(agent), at: 'half' }
  if (agent.state === 'needs-login') {
    if (agent.loginUrl !== undefined)
      return { look: 'busy', drawing: 'growing', badge: true, word: text.busyWord, line: text.busyPerson, at: 'half' }
    const line = agent.problem?.code === 'agent/key-expired' ? text.expired : text.out
    return { look: 'warn', drawing: 'apart', badge: true, word: text.outWord, line, at: 'off' }
  }
  return off(text.off)
}

const off = (line: string): Plate => ({
  look: 'off',
  drawing: 'apart',
  badge: false,
  word: words.plate.offWord,
  line,
  at: 'off',
})

function running(agent: AgentSnapshot, nowMs: number): Plate {
  const text = words.plate
  const endsAt = agent.self?.keyExpiresAt
  const ends = endsAt !== undefined && endsAt - nowMs < EXPIRY_NOTICE_MS
  const { all, online, direct } = presenceOf(agent.peers)
  const calm = all === 0 ? text.onAlone : text.on(online, all, direct)
  const drawing = (agent.relay?.pairs ?? 0) > 0 ? 'serving' : 'joined'
  const base = { drawing, word: text.onWord, at: 'on' } as const
  if (!agent.controlConnected && agent.warnings.length > 0)
    return { ...base, look: 'warn', badge: true, line: noServerLine(agent.tailnet) }
  if (ends) return { ...base, look: 'warn', badge: true, line: text.signInBy(byText(endsAt, nowMs)) }
  return { ...base, look: 'on', badge: agent.warnings.length > 0, line: calm }
}

function noServerLine(tailnet: TailnetView | undefined): string {
  return tailnet ? words.plate.noServer(hostOf(tailnet.serverUrl)) : words.plate.noServerUnknown
}

function waitingLine({ waitingFor, tailnet, problem, controlConnected }: AgentSnapshot): string {
  const text = words.plate
  if (problem && !controlConnected) return noServerLine(tailnet)
  switch (waitingFor) {
    case undefined:
    case 'the coordination server':
      return tailnet ? text.busyServer(hostOf(tailnet.serverUrl)) : text.busyServerUnknown
    case 'the network map':
      return text.busyMap
    case "the owner's approval":
      return text.busyApproval
    case 'someone to log in':
      return text.busyPerson
    default:
      return text.busyOther(waitingFor)
  }
}
