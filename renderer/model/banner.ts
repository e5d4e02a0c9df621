// The one banner above the list: the worst wins and says how many more there are.

import type { OwnNetworkView, ShellView } from '../../electron/contract/calls.ts'
import { isOwnNetwork } from '../../electron/contract/network-words.ts'
import type { AgentSnapshot, Problem } from '../../electron/contract/snapshot.ts'
import { splitMessage, words } from '../words.ts'
import { osName } from './machines.ts'
import { EXPIRY_NOTICE_MS } from './plate.ts'
import { untilText } from './time.ts'

export type BannerAction =
  | 'sign-in'
  | 'open-login'
  | 'retry'
  | 'retry-own'
  | 'dismiss-failure'
  | 'set-up-sign-in'
  | 'dismiss-no-tray'
  | 'look-waiting'

export interface Banner {
  readonly kind: 'bad' | 'warn' | 'info'
  readonly title: string
  readonly text: string
  /** For "Details", copyable. */
  readonly code: string | undefined
  readonly action: BannerAction | undefined
}

export interface BannerFacts {
  readonly agent: AgentSnapshot
  readonly own: OwnNetworkView | undefined
  readonly shell: ShellView | undefined
  /** What the last thing asked for in this window answered. */
  readonly failure: Problem | undefined
  /** The server is given a moment to come back before it is worth a word. */
  readonly serverAwayLong: boolean
  readonly nowMs: number
}

export function bannersOf(facts: BannerFacts): readonly Banner[] {
  const found = [...troubles(facts), ...warnings(facts), ...notes(facts)]
  const seen = new Set<string>()
  return found.filter(({ title }) => !seen.has(title) && seen.add(title))
}

function* troubles({ agent, own, failure }: BannerFacts): Iterable<Banner> {
  if (failure) yield fromProblem('bad', failure, 'dismiss-failure')
  // Without its own server this computer has nobody to ask.
  if (own?.state === 'failed' && own.problem) yield fromProblem('bad', own.problem, 'retry-own')
  const { problem } = agent
  if (!problem) return
  const needsLogin = agent.state === 'needs-login'
  const isOver = needsLogin || agent.state === 'stopped'
  yield fromProblem(isOver ? 'bad' : 'warn', problem, needsLogin ? 'sign-in' : isOver ? 'retry' : undefined)
}

function* warnings({ agent, own, serverAwayLong, nowMs }: BannerFacts): Iterable<Banner> {
  const [guest, ...others] = own?.waiting ?? []
  if (guest)
    yield banner(
      'warn',
      others.length > 0 ? words.waiting.bannerMany(others.length + 1) : words.waiting.banner(guest.name),
      guest.user === undefined
        ? words.waiting.bannerText(osName(guest.os), guest.address)
        : words.waiting.bannerSignedIn(osName(guest.os), guest.user),
      'look-waiting',
    )
  const { loginUrl, self, state } = agent
  if (loginUrl !== undefined)
    yield banner('warn', words.banner.loginPending, words.banner.loginPendingText, 'open-login')
  else if (state === 'needs-login' && !agent.problem)
    yield banner('warn', words.banner.signedOut, words.banner.signedOutText, 'sign-in')
  const endsAt = self?.keyExpiresAt
  if (state === 'running' && endsAt !== undefined && endsAt - nowMs < EXPIRY_NOTICE_MS)
    yield banner('warn', words.banner.expires(untilText(endsAt, nowMs)), words.banner.expiresText, 'sign-in')
  for (const warning of agent.warnings) {
    const isServerAway = !agent.controlConnected && warning.code.startsWith('control/')
    if (!isServerAway || serverAwayLong) yield fromProblem('warn', warning, undefined)
  }
}

function* notes({ agent, own, shell }: BannerFacts): Iterable<Banner> {
  if (shell?.tellNoTray === true) yield banner('info', words.banner.noTray, words.banner.noTrayText, 'dismiss-no-tray')
  if (own?.state === 'running' && !own.ownerCanSignIn && isOwnNetwork(agent.tailnet, own))
    yield banner('info', words.signInSetup.title, words.signInSetup.text, 'set-up-sign-in')
}

function fromProblem(kind: Banner['kind'], problem: Problem, action: BannerAction | undefined): Banner {
  return { kind, ...splitMessage(problem.message), code: problem.code, action }
}

function banner(kind: Banner['kind'], title: string, text: string, action: BannerAction): Banner {
  return { kind, title, text, code: undefined, action }
}
