import { CodedError } from '../base/errors.ts'
import type { AgentSnapshot } from '../contract/snapshot.ts'
import {
  agentOptionHelp,
  agentOptions,
  type Command,
  type CommandCall,
  DONE,
  durationOption,
  print,
  remark,
  stringOption,
} from './command.ts'
import { qrText, type QrTextOptions } from './qr-text.ts'
import { routingHelp, routingOptions, routingWishOf } from './routing-options.ts'
import { agentOf } from './talk.ts'

/** Without --timeout a login may take as long as a person needs; everything else ends within this. */
const LONGEST_WAIT_MS = 24 * 60 * 60_000

export const up: Command = {
  name: 'up',
  summary: 'Brings this machine into its network.',
  usage: [
    'up [--login-server URL] [--auth-key KEY] [--hostname NAME] [--qr] [--timeout D]',
    'up [--accept-routes] [--advertise-routes CIDR,…] [--advertise-exit-node] [--advertise-tags TAG,…] [--shields-up]',
  ],
  help: {
    'login-server': '--login-server URL the coordination server (kept from the last login)',
    'auth-key': '--auth-key KEY     join with a key instead of a login in the browser',
    hostname: '--hostname NAME    the name to ask for',
    'force-reauth': '--force-reauth     log in again with a new node key',
    qr: '--qr               show the login page as a QR code too, for a phone',
    ...routingHelp,
    timeout: '--timeout D        give up after D, such as 30s (no limit while a person logs in)',
    ...agentOptionHelp,
  },
  example: 'peerway up --login-server http://192.168.1.10:8480 --auth-key pwkey-…',
  options: {
    ...agentOptions,
    'login-server': { type: 'string' },
    'auth-key': { type: 'string' },
    hostname: { type: 'string' },
    'force-reauth': { type: 'boolean' },
    timeout: { type: 'string' },
    ...routingOptions,
    qr: { type: 'boolean' },
    'no-qr': { type: 'boolean' },
  },
  positionals: [0, 0],
  run: (call) => bringUp(call, { isNew: false }),
}

export const login: Command = {
  ...up,
  name: 'login',
  summary:
    'Joins another network, or another account of one, beside those there are; "peerway switch" changes between them.',
  usage: ['login [--login-server URL] [--auth-key KEY] [--hostname NAME] [--qr] [--timeout D]'],
  example: 'peerway login --login-server https://net.example.org',
  run: (call) => bringUp(call, { isNew: true }),
}

async function bringUp(call: CommandCall, { isNew }: { readonly isNew: boolean }): Promise<number> {
  const agent = agentOf(call)
  const timeoutMs = durationOption(call, 'timeout', 0)
  const before = await agent.call('agent.snapshot')
  await agent.call('agent.up', {
    serverUrl: stringOption(call, 'login-server'),
    authKey: stringOption(call, 'auth-key'),
    hostname: stringOption(call, 'hostname'),
    forceReauth: call.values['force-reauth'] === true,
    routing: routingWishOf(call),
    isNew,
  })
  const giveUp = AbortSignal.timeout(timeoutMs > 0 ? timeoutMs : LONGEST_WAIT_MS)
  let shownUrl: string | undefined
  let last: AgentSnapshot | undefined
  for await (const snapshot of agent.snapshots(giveUp)) {
    // The wish itself makes a new revision; what was before it says nothing about this start.
    if (snapshot.revision <= before.revision && snapshot.state !== 'running') continue
    last = snapshot
    if (snapshot.state === 'running') {
      remark(`Connected to ${snapshot.tailnet?.name ?? 'the network'} as ${snapshot.self?.addresses.join(', ') ?? ''}`)
      const other = isNew ? undefined : otherAccount(before, snapshot)
      if (other !== undefined) remark(other)
      return DONE
    }
    if (snapshot.loginUrl !== undefined && snapshot.loginUrl !== shownUrl) {
      shownUrl = snapshot.loginUrl
      print(`\nTo log in, open this page in a browser:\n\n\t${shownUrl}\n`)
      if (call.values['qr'] === true) for (const line of qrText(shownUrl, terminal())) print(line)
    }
    if (snapshot.problem && snapshot.state !== 'starting')
      throw new CodedError(snapshot.problem.code, snapshot.problem.message)
  }
  if (!giveUp.aborted)
    throw new CodedError('cli/agent-gone', 'The agent ended while it was starting. Look at its output for the reason.')
  if (last?.problem) throw new CodedError(last.problem.code, last.problem.message)
  throw new CodedError(
    'cli/timeout',
    shownUrl === undefined
      ? `Not connected yet; the agent is waiting for ${last?.waitingFor ?? 'the server'}.`
      : 'Nobody logged in yet. The page above stays valid; run peerway up again to wait on.',
  )
}

const terminal = (): QrTextOptions => ({
  colours: process.stdout.isTTY && (process.env['NO_COLOR'] ?? '') === '',
  columns: process.stdout.columns,
})

/** Somebody else signed in than the one who was here before; undefined where they are the same, or where that was asked for. */
function otherAccount({ tailnet: before }: AgentSnapshot, { tailnet: now }: AgentSnapshot): string | undefined {
  if (!before || !now || before.serverUrl !== now.serverUrl) return undefined
  if (before.account === '' || before.account === now.account) return undefined
  return `This is the account ${now.account}. The one from before is kept: peerway switch ${before.account}`
}

export const down: Command = {
  name: 'down',
  summary: 'Leaves the network without forgetting the login.',
  usage: ['down'],
  help: agentOptionHelp,
  example: 'peerway down',
  options: agentOptions,
  positionals: [0, 0],
  async run(call) {
    await agentOf(call).call('agent.down')
    return DONE
  },
}

export const logout: Command = {
  name: 'logout',
  summary: 'Leaves the network and forgets this login.',
  usage: ['logout'],
  help: agentOptionHelp,
  example: 'peerway logout',
  options: agentOptions,
  positionals: [0, 0],
  async run(call) {
    await agentOf(call).call('agent.logout')
    return DONE
  },
}
