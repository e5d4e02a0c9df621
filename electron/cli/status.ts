import { CodedError } from '../base/errors.ts'
import { givesText } from '../contract/relay-words.ts'
import type { AgentSnapshot, PeerView, SelfView } from '../contract/snapshot.ts'
import { agentOptionHelp, agentOptions, type Command, DONE, FAILED, print } from './command.ts'
import { agentOf } from './talk.ts'
import { table } from './table.ts'

export const status: Command = {
  name: 'status',
  summary: 'This machine, its peers, and how each is reached now and why.',
  usage: ['status [--json] [--peers=false] [--self=false] [--active]'],
  help: {
    json: '--json             one JSON document',
    peers: '--peers=false      without the peers',
    self: '--self=false       without this machine',
    active: '--active           only peers with recent traffic',
    ...agentOptionHelp,
  },
  example: 'peerway status --json',
  options: {
    ...agentOptions,
    json: { type: 'boolean' },
    peers: { type: 'boolean' },
    'no-peers': { type: 'boolean' },
    self: { type: 'boolean' },
    'no-self': { type: 'boolean' },
    active: { type: 'boolean' },
  },
  positionals: [0, 0],
  async run(call) {
    const agent = agentOf(call)
    if (call.values['json'] === true) {
      const document = await agent.status()
      if (call.values['no-peers'] === true) document['Peer'] = {}
      print(JSON.stringify(document, undefined, 2))
      return DONE
    }
    const [snapshot, traffic] = [await agent.call('agent.snapshot'), await agent.call('agent.traffic')]
    if (snapshot.state === 'stopped' && !snapshot.problem) {
      print('Peerway is stopped. Start it with: peerway up')
      return FAILED
    }
    if (snapshot.loginUrl !== undefined) print(`Log in at: ${snapshot.loginUrl}`)
    if (snapshot.problem) print(`${snapshot.problem.message} [${snapshot.problem.code}]`)
    if (snapshot.state === 'needs-login' && !snapshot.problem && snapshot.loginUrl === undefined)
      print('Logged out. Log in with: peerway up')
    if (snapshot.state === 'starting') print(`Connecting, waiting for ${snapshot.waitingFor ?? 'the server'}…`)
    if (snapshot.state !== 'running' && !snapshot.self) return FAILED
    const rows: string[][] = []
    if (snapshot.self && call.values['no-self'] !== true) rows.push(selfRow(snapshot.self, snapshot))
    if (call.values['no-peers'] !== true)
      for (const peer of Object.values(snapshot.peers).toSorted((a, b) => a.name.localeCompare(b.name))) {
        const counted = traffic.peers[peer.id]
        if (call.values['active'] === true && counted?.active !== true) continue
        rows.push(peerRow(peer, counted ? { rx: counted.rxBytes, tx: counted.txBytes } : undefined))
      }
    print(table(rows))
    for (const warning of snapshot.warnings) print(`\n# ${warning.message}`)
    return snapshot.state === 'running' ? DONE : FAILED
  },
}

function selfRow(self: SelfView, snapshot: AgentSnapshot): string[] {
  const { relay } = snapshot
  const gives = relay?.isWanted ? ` (${givesText(relay, snapshot.state === 'running')})` : ''
  return [self.addresses[0] ?? '', self.name, snapshot.tailnet?.account ?? '', self.os, `this machine${gives}`]
}

function peerRow(peer: PeerView, bytes: { rx: number; tx: number } | undefined): string[] {
  const owner = peer.tags.length > 0 ? peer.tags.join(',') : peer.ownerLogin
  return [
    peer.addresses[0] ?? '',
    peer.name,
    owner,
    peer.os,
    `${pathText(peer)}${bytes && (bytes.rx > 0 || bytes.tx > 0) ? `, tx ${bytes.tx} rx ${bytes.rx}` : ''}`,
  ]
}

export function pathText(peer: PeerView): string {
  if (peer.expired) return 'its key has run out'
  if (peer.online === false && peer.path.kind === 'none')
    return peer.lastSeenAt === undefined ? 'offline' : `offline, last seen ${new Date(peer.lastSeenAt).toISOString()}`
  const { doctor } = peer
  const { kind, via, latencyMs, lan, reasonText } = peer.path
  const latency = latencyMs === undefined ? '' : ` ${latencyMs < 1 ? '<1' : Math.round(latencyMs)} ms`
  if (kind === 'direct') return `direct${lan ? ' (LAN)' : ''} ${via ?? ''}${latency}${doctor ? `, ${doctor.text}` : ''}`
  const why = doctor && doctor.cause !== 'idle' && doctor.cause !== 'unknown' ? doctor.text : reasonText
  if (kind === 'peer-relay') return `via ${via ?? 'a relay'}${latency}, ${why}`
  if (kind === 'derp') return `DERP ${via ?? ''}${latency}, ${why}`
  return doctor && doctor.cause !== 'idle' ? `no path, ${doctor.text}` : 'idle'
}

export const ip: Command = {
  name: 'ip',
  summary: 'The addresses of this machine or of a peer.',
  usage: ['ip [-4|-6] [NODE]'],
  help: { 4: '-4                 only IPv4', 6: '-6                 only IPv6', ...agentOptionHelp },
  example: 'peerway ip -4 nas',
  options: {
    ...agentOptions,
    4: { type: 'boolean', short: '4' },
    6: { type: 'boolean', short: '6' },
    json: { type: 'boolean' },
  },
  positionals: [0, 1],
  async run(call) {
    const snapshot = await agentOf(call).call('agent.snapshot')
    const [name] = call.positionals
    const node = name === undefined ? snapshot.self : findNode(snapshot, name)
    if (!node)
      throw name === undefined
        ? new CodedError('cli/not-connected', 'This machine has no address yet. Connect with: peerway up')
        : unknownNode(name)
    const only4 = call.values['4'] === true
    const only6 = call.values['6'] === true
    const addresses = node.addresses.filter((address) => (address.includes(':') ? !only4 || only6 : !only6 || only4))
    print(call.values['json'] === true ? JSON.stringify(addresses) : addresses.join('\n'))
    return DONE
  },
}

export const unknownNode = (name: string): CodedError =>
  new CodedError(
    'cli/unknown-node',
    `There is no machine "${name}" in this network, or its rules hide it from this one. "peerway status" lists the others.`,
  )

/** By name, first label, or address. */
export function findNode(snapshot: AgentSnapshot, name: string): SelfView | PeerView | undefined {
  const wanted = name.toLowerCase().replace(/\.$/, '')
  const all = [...(snapshot.self ? [snapshot.self] : []), ...Object.values(snapshot.peers)]
  return all.find(
    (node) =>
      node.dnsName.toLowerCase() === wanted || node.name.toLowerCase() === wanted || node.addresses.includes(wanted),
  )
}
