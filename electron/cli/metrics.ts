import type { RelayStatusView } from '../contract/relay-view.ts'
import type { AgentSnapshot, TrafficView } from '../contract/snapshot.ts'
import { agentOptionHelp, agentOptions, type Command, DONE, print } from './command.ts'
import { agentOf } from './talk.ts'

export const metrics: Command = {
  name: 'metrics',
  summary: 'Counters of the running agent in Prometheus text form.',
  usage: ['metrics'],
  help: agentOptionHelp,
  example: 'peerway metrics > /var/lib/node_exporter/peerway.prom',
  options: agentOptions,
  positionals: [0, 0],
  async run(call) {
    const agent = agentOf(call)
    const snapshot = await agent.call('agent.snapshot')
    const traffic = await agent.call('agent.traffic')
    const relay = await agent.call('agent.relayStatus')
    print(metricsText(snapshot, traffic, relay))
    return DONE
  },
}

interface Family {
  readonly name: string
  readonly type: 'counter' | 'gauge'
  readonly help: string
  readonly samples: readonly { readonly labels?: Readonly<Record<string, string>>; readonly value: number }[]
}

export function metricsText(snapshot: AgentSnapshot, traffic: TrafficView, relay: RelayStatusView): string {
  const peers = Object.values(snapshot.peers)
  const byPeer = (pick: 'rxBytes' | 'txBytes'): Family['samples'] =>
    peers.flatMap(({ id, name }) => {
      const counted = traffic.peers[id]
      return counted ? [{ labels: { peer: name }, value: counted[pick] }] : []
    })
  const paths = (['direct', 'peer-relay', 'derp', 'none'] as const).map((kind) => ({
    labels: { path: kind },
    value: peers.filter(({ path }) => path.kind === kind).length,
  }))
  const sessions = (['open', 'connecting'] as const).map((state) => ({
    labels: { state },
    value: relay.totals[`sessions.${state}`] ?? 0,
  }))
  const total = (name: string): Family['samples'] => [{ value: relay.totals[name] ?? 0 }]
  const refused = Object.entries(relay.totals)
    .filter(([name]) => name.startsWith('refused.'))
    .map(([name, value]) => ({ labels: { reason: name.slice('refused.'.length) }, value }))
  const families: Family[] = [
    gauge('peerway_running', 'Whether this machine is in its network.', [
      { value: Number(snapshot.state === 'running') },
    ]),
    gauge('peerway_peers', 'Machines by the path that leads to them.', paths),
    counter('peerway_peer_received_bytes_total', 'Data from a machine, without overhead.', byPeer('rxBytes')),
    counter('peerway_peer_sent_bytes_total', 'Data to a machine, without overhead.', byPeer('txBytes')),
    gauge('peerway_relay_on', 'Whether this machine relays for others.', [
      { value: Number(relay.state === 'running') },
    ]),
    gauge(
      'peerway_relay_paused',
      'Whether a wanted relay pauses, by reason.',
      relay.pause ? [{ labels: { reason: relay.pause.reason }, value: 1 }] : [],
    ),
    gauge('peerway_relay_month_bytes', 'Carried for others this calendar month.', [{ value: relay.manners.usedBytes }]),
    gauge('peerway_relay_quota_bytes', 'Most that is carried in a month; 0 for no limit.', [
      { value: relay.manners.monthlyBytes },
    ]),
    gauge('peerway_relay_sessions', 'Pairs of machines at this relay.', sessions),
    counter('peerway_relay_forwarded_bytes_total', 'Carried for others.', total('forwarded.bytes')),
    counter('peerway_relay_forwarded_packets_total', 'Carried for others.', total('forwarded.packets')),
    counter('peerway_relay_shaped_packets_total', 'Dropped to keep to the rate limit.', total('shaper.dropped')),
    counter('peerway_relay_refused_total', 'Requests and handshakes that were refused.', refused),
  ]
  return families
    .filter(({ samples }) => samples.length > 0)
    .map(familyText)
    .join('\n')
}

const gauge = (name: string, help: string, samples: Family['samples']): Family => ({
  name,
  type: 'gauge',
  help,
  samples,
})
const counter = (name: string, help: string, samples: Family['samples']): Family => ({
  name,
  type: 'counter',
  help,
  samples,
})

function familyText({ name, type, help, samples }: Family): string {
  const lines = samples.map(({ labels = {}, value }) => {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`)
    return `${name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${value}`
  })
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines].join('\n')
}

/** As the exposition format wants label values. */
const escaped = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
