import type { NetcheckView, RegionCheckView } from '../contract/netcheck-view.ts'
import { agentOptionHelp, agentOptions, type Command, DONE, print } from './command.ts'
import { agentOf } from './talk.ts'
import { table } from './table.ts'

export const netcheck: Command = {
  name: 'netcheck',
  summary: 'The network this machine is in: UDP, addresses, mapping, port mapping, DERP latencies.',
  usage: ['netcheck [--json]'],
  help: { json: '--json             one JSON document', ...agentOptionHelp },
  example: 'peerway netcheck',
  options: { ...agentOptions, json: { type: 'boolean' } },
  positionals: [0, 0],
  async run(call) {
    const view = await agentOf(call).call('agent.netcheck')
    print(call.values['json'] === true ? JSON.stringify(netcheckJson(view), undefined, 2) : netcheckText(view))
    return DONE
  },
}

/**
 * The member names of `tailscale netcheck --format=json` (net/netcheck, type Report), latencies in nanoseconds as there; then
 * our own: PortMapping, Regions and Endpoints.
 */
export function netcheckJson(view: NetcheckView): Record<string, unknown> {
  const seen = (isV6: boolean) => view.publicEndpoints.filter(({ endpoint }) => endpoint.startsWith('[') === isV6)
  const counters = (isV6: boolean) =>
    Object.fromEntries(seen(isV6).map(({ endpoint, seen: count }) => [endpoint, count]))
  const latency = (ofRegion: (region: RegionCheckView) => number | undefined) =>
    Object.fromEntries(
      view.regions.flatMap((region) => {
        const ms = ofRegion(region)
        return ms === undefined ? [] : [[region.id, Math.round(ms * 1e6)]]
      }),
    )
  const { portMapping } = view
  return {
    Now: new Date(view.at).toISOString(),
    UDP: view.udp,
    IPv6: view.ipv6,
    IPv4: view.ipv4,
    IPv6CanSend: view.ipv6CanSend,
    IPv4CanSend: view.ipv4CanSend,
    OSHasIPv6: view.osHasIpv6,
    MappingVariesByDestIP: view.mappingVariesByDestIp ?? null,
    UPnP: portMapping.upnp ?? null,
    PMP: portMapping.pmp ?? null,
    PCP: portMapping.pcp ?? null,
    PreferredDERP: view.home ?? 0,
    RegionLatency: latency((region) => region.latencyMs),
    RegionV4Latency: latency((region) => region.v4Ms),
    RegionV6Latency: latency((region) => region.v6Ms),
    GlobalV4Counters: counters(false),
    GlobalV6Counters: counters(true),
    GlobalV4: seen(false)[0]?.endpoint ?? '',
    GlobalV6: seen(true)[0]?.endpoint ?? '',
    CaptivePortal: view.captivePortal ?? null,
    PortMapping: {
      Endpoint: portMapping.endpoint ?? '',
      Via: portMapping.via ?? '',
      Refusal: portMapping.refusal ?? '',
    },
    Regions: Object.fromEntries(view.regions.map(({ id, code, name }) => [id, { Code: code, Name: name }])),
    Endpoints: view.endpoints,
  }
}

export function netcheckText(view: NetcheckView): string {
  const rows = [
    ['UDP', view.udp ? 'works' : 'no answer: blocked here, or no DERP server in reach'],
    ...(view.captivePortal === true ? [['Sign-in', 'this network wants a sign-in on a web page first']] : []),
    ['IPv4', familyWords(view, false)],
    ['IPv6', familyWords(view, true)],
    ['NAT', mappingWords(view)],
    ['Port mapping', portMappingWords(view.portMapping)],
  ]
  const regions = view.regions
    .toSorted((a, b) => (a.latencyMs ?? Infinity) - (b.latencyMs ?? Infinity))
    .map((region) => [
      `  ${region.code}`,
      region.latencyMs === undefined ? 'no answer' : `${formatMs(region.latencyMs)} ms`,
      region.name,
      region.id === view.home ? 'home' : '',
    ])
  return `${table(rows)}\nDERP\n${table(regions) || '  no region'}`.replace(/ +$/gm, '')
}

function familyWords(view: NetcheckView, isV6: boolean): string {
  const found = view.publicEndpoints.find(({ endpoint }) => endpoint.startsWith('[') === isV6)
  if (found) return `yes, seen from outside as ${found.endpoint}`
  if (isV6 && !view.osHasIpv6) return 'no, this system has none'
  return (isV6 ? view.ipv6 : view.ipv4) ? 'yes' : 'no answer'
}

function mappingWords(view: NetcheckView): string {
  if (!view.publicEndpoints.some(({ endpoint }) => !endpoint.startsWith('['))) return 'not known without UDP over IPv4'
  if (view.mappingVariesByDestIp === undefined) return 'not known: only one server answered'
  return view.mappingVariesByDestIp
    ? 'hard: another port for each destination (mapping varies by destination)'
    : 'easy: one port for all destinations'
}

function portMappingWords({ upnp, pmp, pcp, endpoint, via, refusal }: NetcheckView['portMapping']): string {
  if (upnp === undefined && pmp === undefined && pcp === undefined) return 'no home router found to ask'
  const offered = [upnp === true ? 'UPnP' : '', pmp === true ? 'NAT-PMP' : '', pcp === true ? 'PCP' : ''].filter(
    Boolean,
  )
  if (endpoint !== undefined)
    return `${endpoint} by ${via === 'pmp' ? 'NAT-PMP' : (via ?? '').replace('upnp', 'UPnP').replace('pcp', 'PCP')} (router offers ${offered.join(', ')})`
  if (offered.length === 0) return 'the router offers none (UPnP, NAT-PMP and PCP are off)'
  return `none, though the router offers ${offered.join(', ')}${refusal === undefined ? '' : `: ${refusal}`}`
}

const formatMs = (ms: number): string => (ms < 10 ? ms.toFixed(1) : String(Math.round(ms)))
