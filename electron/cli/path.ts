import { CodedError } from '../base/errors.ts'
import type { PathChangeView, PathPlaceView } from '../contract/path-history-view.ts'
import { pathModes, type PathPolicyView, type PathWish } from '../contract/path-policy.ts'
import {
  agentOptionHelp,
  agentOptions,
  type Command,
  type CommandCall,
  DONE,
  print,
  stringOption,
  UsageError,
} from './command.ts'
import { agentOf } from './talk.ts'

const modes = [...pathModes, 'default'] as const

export const path: Command = {
  name: 'path',
  summary: 'How a machine is reached, why, and what it was before; or which ways may be used.',
  usage: ['path [--json] NODE', 'path --policy MODE [--relay NODE] [--family ipv4|ipv6] [--derp-data=false] [NODE]'],
  help: {
    policy: '--policy MODE      automatic, only-direct, prefer-relay, only-relay, or default; without NODE for all',
    relay: '--relay NODE       the machine that relays, for prefer-relay and only-relay',
    family: '--family F         ipv4 or ipv6 first, where both work',
    'derp-data': '--derp-data=false  no data over DERP: without another way the machine is not reached',
    json: '--json             one JSON document',
    ...agentOptionHelp,
  },
  example: 'peerway path --policy only-direct nas',
  options: {
    ...agentOptions,
    policy: { type: 'string' },
    relay: { type: 'string' },
    family: { type: 'string' },
    'derp-data': { type: 'boolean' },
    'no-derp-data': { type: 'boolean' },
    json: { type: 'boolean' },
  },
  positionals: [0, 1],
  async run(call) {
    const wish = policyOf(call)
    if (wish) {
      const none = {
        relayServer: undefined,
        relayServerStaticEndpoints: undefined,
        relayLimitBytesPerSecond: undefined,
      }
      await agentOf(call).call('agent.set', { ...none, path: wish })
      return DONE
    }
    const [name] = call.positionals
    if (name === undefined) throw new UsageError('Name a machine, or set a --policy for all; "peerway help path".')
    await show(call, name)
    return DONE
  },
}

export function policyOf(call: CommandCall): PathWish | undefined {
  const [text, relay, family] = ['policy', 'relay', 'family'].map((name) => stringOption(call, name))
  const isDerpSet = call.values['derp-data'] === true || call.values['no-derp-data'] === true
  if (text === undefined) {
    if (relay !== undefined || family !== undefined || isDerpSet)
      throw new UsageError('--relay, --family and --derp-data go with --policy.')
    return undefined
  }
  const mode = modes.find((one) => one === text)
  if (mode === undefined) throw new UsageError(`--policy takes ${modes.join(', ')}, not "${text}".`)
  if (family !== undefined && family !== 'ipv4' && family !== 'ipv6')
    throw new UsageError(`--family takes ipv4 or ipv6, not "${family}".`)
  return {
    peer: call.positionals[0],
    mode,
    relay,
    family,
    derpData: call.values['no-derp-data'] === true ? false : undefined,
  }
}

async function show(call: CommandCall, name: string): Promise<void> {
  const agent = agentOf(call)
  const { peers } = await agent.call('agent.snapshot')
  const wanted = name.toLowerCase().replace(/\.$/, '')
  const peer = Object.values(peers).find(
    (one) =>
      one.id === name ||
      one.name.toLowerCase() === wanted ||
      one.dnsName.toLowerCase() === wanted ||
      one.addresses.includes(wanted),
  )
  if (!peer) throw new CodedError('agent/unknown-node', `There is no machine "${name}" in this network.`)
  const { changes, policy } = await agent.call('agent.pathHistory', { peer: peer.id })
  if (call.values['json'] === true) return print(JSON.stringify({ path: peer.path, policy, changes }, undefined, 2))
  print(`${peer.name}: ${placeText(peer.path)}. ${peer.path.reasonText}`)
  if (policy) print(`Policy: ${policyText(policy)}`)
  for (const change of changes) print(changeText(change))
}

export function placeText({ kind, via }: PathPlaceView): string {
  switch (kind) {
    case 'direct':
      return `direct${via === undefined ? '' : ` at ${via}`}`
    case 'peer-relay':
      return `through ${via ?? 'another machine'}`
    case 'derp':
      return `over DERP${via === undefined ? '' : ` ${via}`}`
    case 'none':
      return 'no way'
  }
}

export function changeText({ at, from, to, reasonText }: PathChangeView): string {
  const time = new Date(at).toLocaleTimeString('en-GB')
  return `${time}  ${placeText(from)} → ${placeText(to)}: ${reasonText}`
}

function policyText({ mode, relay, family, derpData, isDefault }: PathPolicyView): string {
  const parts = [
    `${mode}${relay === undefined ? '' : ` ${relay}`}`,
    ...(family === undefined ? [] : [`${family} first`]),
    ...(derpData ? [] : ['no data over DERP']),
  ]
  return `${parts.join(', ')}${isDefault ? ' (as for all machines)' : ''}`
}
