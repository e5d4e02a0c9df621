import { CodedError } from '../base/errors.ts'
import type { ProfileView } from '../contract/profile-view.ts'
import type { AgentSnapshot } from '../contract/snapshot.ts'
import {
  agentOptionHelp,
  agentOptions,
  type Command,
  DONE,
  durationOption,
  print,
  remark,
  stringOption,
  UsageError,
} from './command.ts'
import { table } from './table.ts'
import { agentOf } from './talk.ts'

const WAIT_MS = 30_000

export const switchProfile: Command = {
  name: 'switch',
  summary: 'Changes to another network that this machine has joined, lists them, or forgets one.',
  usage: ['switch NAME|ID [--timeout D]', 'switch --list [--json]', 'switch remove NAME|ID'],
  help: {
    list: '--list             the networks of this machine; * is the current one',
    json: '--json             one JSON document',
    timeout: '--timeout D        give up waiting for the connection after D (30s)',
    ...agentOptionHelp,
  },
  example: 'peerway switch work',
  options: {
    ...agentOptions,
    list: { type: 'boolean' },
    json: { type: 'boolean' },
    timeout: { type: 'string' },
  },
  positionals: [0, 2],
  async run(call) {
    const agent = agentOf(call)
    const [first, second] = call.positionals
    const isList = call.values['list'] === true
    if (isList !== (first === undefined)) throw new UsageError('Name a network, or say --list to see them.')
    if (isList) {
      const { profiles = [] } = await agent.call('agent.snapshot')
      if (call.values['json'] === true) print(JSON.stringify(profiles.map(profileJson), undefined, 2))
      else for (const line of profileLines(profiles)) print(line)
      return DONE
    }
    if (first === 'remove') {
      if (second === undefined) throw new UsageError('Name the network to forget; "peerway switch --list" lists them.')
      await agent.call('agent.removeProfile', { profile: second })
      return DONE
    }
    if (second !== undefined) throw new UsageError(`"${second}" is one argument too many.`)
    await agent.call('agent.switch', { profile: first ?? '' })
    const giveUp = AbortSignal.timeout(durationOption(call, 'timeout', WAIT_MS))
    let last: AgentSnapshot | undefined
    for await (const snapshot of agent.snapshots(giveUp)) {
      last = snapshot
      if (snapshot.state === 'running') {
        remark(`Connected to ${snapshot.tailnet?.name ?? 'the network'}.`)
        return DONE
      }
      if (snapshot.problem && snapshot.state !== 'starting')
        throw new CodedError(snapshot.problem.code, snapshot.problem.message)
    }
    if (last?.problem) throw new CodedError(last.problem.code, last.problem.message)
    const socket = stringOption(call, 'socket')
    throw new CodedError(
      'cli/timeout',
      `Switched, but not connected yet: waiting for ${last?.waitingFor ?? 'the server'}. See peerway${socket === undefined ? '' : ` --socket ${socket}`} status.`,
    )
  },
}

export function profileLines(profiles: readonly ProfileView[]): string[] {
  if (profiles.length === 0) return ['This machine has joined no network yet: peerway up']
  const rows = profiles.map(({ id, name, account, serverUrl, isCurrent, isLoggedIn }) => [
    isCurrent ? '*' : ' ',
    id,
    name,
    isLoggedIn ? (account ?? '-') : 'logged out',
    serverUrl,
  ])
  return [table([[' ', 'ID', 'NETWORK', 'ACCOUNT', 'SERVER'], ...rows])]
}

const profileJson = ({
  id,
  name,
  account,
  serverUrl,
  isCurrent,
  isLoggedIn,
}: ProfileView): Record<string, unknown> => ({
  ID: id,
  Network: name,
  Account: account ?? '',
  Server: serverUrl,
  Current: isCurrent,
  LoggedIn: isLoggedIn,
})
