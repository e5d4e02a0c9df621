// `peerway relay …`: this machine as a relay for others.

import type { RelayClientView, RelayPauseView, RelayStatusView } from '../contract/relay-view.ts'
import { agentOptionHelp, agentOptions, type Command, DONE, FAILED, print } from './command.ts'
import { bytesText } from './rate.ts'
import { runFamily } from './family.ts'
import { table } from './table.ts'
import { agentOf } from './talk.ts'

const status: Command = {
  name: 'relay status',
  summary: 'Whether this machine relays for others, where it is reached, and who is carried now.',
  usage: ['relay status [--json]'],
  help: { json: '--json             one JSON document', ...agentOptionHelp },
  example: 'peerway relay status',
  options: { ...agentOptions, json: { type: 'boolean' } },
  positionals: [0, 0],
  async run(call) {
    const view = await agentOf(call).call('agent.relayStatus')
    if (call.values['json'] === true) print(JSON.stringify(relayJson(view), undefined, 2))
    else for (const line of relayLines(view)) print(line)
    return view.state === 'failed' ? FAILED : DONE
  },
}

const test: Command = {
  name: 'relay test',
  summary: 'Tests this machine as a relay: other machines knock at its port, and the failing step is named.',
  usage: ['relay test [--json]'],
  help: { json: '--json             one JSON document', ...agentOptionHelp },
  example: 'peerway relay test',
  options: { ...agentOptions, json: { type: 'boolean' } },
  positionals: [0, 0],
  async run(call) {
    const { steps, failing } = await agentOf(call).call('agent.relayTest')
    if (call.values['json'] === true)
      print(
        JSON.stringify(
          {
            Steps: steps.map(({ name, result, text, bytesPerSecond }) => ({
              Step: name,
              Result: result,
              Text: text,
              ...(bytesPerSecond === undefined ? {} : { BytesPerSecond: bytesPerSecond }),
            })),
            Failing: failing ?? null,
          },
          undefined,
          2,
        ),
      )
    else print(table(steps.map(({ name, result, text }) => [name, result, text])))
    return failing === undefined ? DONE : FAILED
  },
}

const verbs: Readonly<Record<string, Command>> = { status, test }

export const commands: readonly Command[] = Object.values(verbs)

export const runRelay = (args: readonly string[]): Promise<number> => runFamily('relay', verbs, args)

export function relayLines(view: RelayStatusView): string[] {
  if (view.state === 'off')
    return [
      view.wantedPort === undefined
        ? 'This machine does not relay for others. Turn it on with: peerway set --relay-server-port 0'
        : 'This machine relays for others while it is connected: peerway up',
    ]
  if (view.problem) return [`${view.problem.message} [${view.problem.code}]`]
  if (view.pause && view.sessions.length === 0) return [...pauseLines(view, view.pause), ...mannersLines(view)]
  if (view.state !== 'running' && !view.pause) return ['Starting to relay…']
  const limit = view.limitBytesPerSecond > 0 ? `, at most ${bytesText(view.limitBytesPerSecond)}/s` : ''
  const lines = view.pause ? pauseLines(view, view.pause) : [`Relaying on UDP port ${view.port}${limit}.`]
  lines.push(...mannersLines(view))
  lines.push(`Offered addresses: ${view.endpoints.length > 0 ? view.endpoints.join(', ') : 'none found yet'}`)
  if (view.portMapped !== undefined)
    lines.push(`The router forwards ${view.portMapped} to it (${view.portMappedVia?.toUpperCase()}).`)
  else if (!view.mapsPorts)
    lines.push('The router is not asked for a port: peerway set --port-mapping on lets it be asked.')
  else if (view.portMapRefusal !== undefined) lines.push(`The router forwards no port: ${view.portMapRefusal}`)
  if (view.portMapped === undefined && view.mapping === 'varies')
    lines.push(
      'The router gives each destination another port: others get in only by a forwarded port or a static endpoint.',
    )
  if (view.sessions.length === 0) return [...lines, 'Nobody is carried now.']
  const rows = view.sessions.map(({ vni, state, clients }) => [
    String(vni),
    state,
    ...clients.map(clientText),
    `${bytesText(clients.reduce((sum, { bytesPerSecond }) => sum + bytesPerSecond, 0))}/s`,
  ])
  return [...lines, '', table([['ID', 'STATE', 'FROM', 'FROM', 'RATE'], ...rows])]
}

function pauseLines({ manners }: RelayStatusView, { reason, endsAt, carriesUntil }: RelayPauseView): string[] {
  const again = endsAt === undefined ? '' : ` It relays again on ${dateTime(endsAt)}.`
  const why = {
    quota: `Paused: this month's ${bytesText(manners.monthlyBytes)} are carried.${again} Another quota: peerway set --relay-quota SIZE`,
    hours: `Paused: it relays ${manners.hours}.${again}`,
    battery: 'Paused: this machine runs on battery. It relays again on mains power.',
    metered: 'Paused: this network costs by volume. It relays again in another one.',
  }[reason]
  return carriesUntil === undefined
    ? [why]
    : [why, `Nobody new is carried; who is carried now goes on until ${dateTime(carriesUntil)}.`]
}

/** The limits in force, and what they cannot heed here. */
function mannersLines({ manners, pause }: RelayStatusView): string[] {
  const { monthlyBytes, usedBytes, hours, pauseOnBattery, pauseOnMetered, power, metered } = manners
  const used = `${bytesText(usedBytes)} carried this month`
  return [
    monthlyBytes > 0 ? `${used}, of ${bytesText(monthlyBytes)}.` : `${used}.`,
    ...(hours !== '' && pause?.reason !== 'hours' ? [`It relays ${hours}.`] : []),
    ...(pauseOnBattery && power === 'battery' && pause?.reason !== 'battery' ? ['This machine runs on battery.'] : []),
    ...(pauseOnMetered && metered === 'unknown'
      ? ['Whether the network costs by volume is not known here: NetworkManager does not tell.']
      : []),
  ]
}

const dateTime = (at: number): string =>
  new Date(at).toLocaleString('en-GB', {
    weekday: 'short',
    day: 'numeric',
    month: 'short',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  })

function clientText({ name, disco, endpoint, bytes }: RelayClientView): string {
  return `${name ?? disco} (${endpoint ?? 'not bound yet'}) ${bytesText(bytes)}`
}

/** Stable names for scripts; times as RFC 3339. */
export function relayJson(view: RelayStatusView): Record<string, unknown> {
  const time = (at: number | undefined): string | null => (at === undefined ? null : new Date(at).toISOString())
  return {
    State: view.state,
    UDPPort: view.port ?? null,
    Endpoints: view.endpoints,
    StaticEndpoints: view.staticEndpoints,
    Mapping: view.mapping,
    PortMapped: view.portMapped ?? null,
    PortMappedVia: view.portMappedVia ?? null,
    LimitBytesPerSecond: view.limitBytesPerSecond,
    Pause: view.pause
      ? {
          Reason: view.pause.reason,
          EndsAt: time(view.pause.endsAt),
          CarriesUntil: time(view.pause.carriesUntil),
        }
      : null,
    MonthlyBytes: view.manners.monthlyBytes,
    UsedBytes: view.manners.usedBytes,
    MonthEndsAt: time(view.manners.renewsAt),
    Hours: view.manners.hours,
    PauseOnBattery: view.manners.pauseOnBattery,
    PauseOnMetered: view.manners.pauseOnMetered,
    PortMapping: view.mapsPorts,
    Power: view.manners.power,
    Metered: view.manners.metered,
    Problem: view.problem ? { Code: view.problem.code, Message: view.problem.message } : null,
    Sessions: view.sessions.map(({ vni, state, sinceAt, clients }) => ({
      VNI: vni,
      State: state,
      Since: time(sinceAt),
      Clients: clients.map((client) => ({
        Name: client.name ?? null,
        ID: client.id ?? null,
        ShortDisco: `d:${client.disco}`,
        Endpoint: client.endpoint ?? null,
        PacketsTx: client.packets,
        BytesTx: client.bytes,
        BytesPerSecond: client.bytesPerSecond,
        LastSeen: time(client.lastSeenAt),
      })),
    })),
    Totals: view.totals,
  }
}
