// `peerway coord derp-map …`: the relays that machines are told of, beside the server's own.

import type { DerpMapInfo, DerpRegionView } from '../coord/derp-map/derp-map-admin.ts'
import { adminOptionHelp, adminOptions, answer, ask, list } from './coord-admin.ts'
import { type Command, type CommandCall, DONE, print, stringOption, UsageError } from './command.ts'
import { textOfFile } from './read-file.ts'

const show: Command = {
  name: 'coord derp-map show',
  summary: 'Shows the relays that machines are told of.',
  usage: ['coord derp-map show [--map] [--json]'],
  help: {
    map: '--map              only the regions that were added, as "derp-map set" takes them',
    ...adminOptionHelp,
  },
  example: 'peerway coord derp-map show --map > derp-map.json',
  options: { ...adminOptions, map: { type: 'boolean' } },
  positionals: [0, 0],
  async run(call) {
    const info = await ask(call, 'derp-map.get', {})
    if (call.values['map'] !== true) return answer(call, info, mapText)
    print(JSON.stringify(info.map, null, 2))
    return DONE
  },
}

const set: Command = {
  name: 'coord derp-map set',
  summary: 'Puts the regions of a file in place of those that were added.',
  usage: [
    'coord derp-map set FILE [--json]',
    'The file is a DERPMap in HuJSON: { "Regions": { "901": { "RegionCode", "RegionName", "Nodes": [{ "HostName", "DERPPort", "STUNPort", "CertName" }] } } }',
    'With "omitDefaultRegions": true machines are not told of the server’s own region. {} brings back how it was.',
  ],
  help: adminOptionHelp,
  example: 'peerway coord derp-map set derp-map.json',
  options: adminOptions,
  positionals: [1, 1],
  async run(call) {
    const text = await textOfFile(call.positionals[0] ?? '')
    return answer(call, await ask(call, 'derp-map.set', { text }), mapText)
  },
}

const addRegion: Command = {
  name: 'coord derp-map add-region',
  summary: 'Adds a region with one relay.',
  usage: ['coord derp-map add-region CODE --host HOST [--cert sha256-raw:…] [--name NAME] [--id N] [--json]'],
  help: {
    host: '--host HOST        its name or address',
    cert: '--cert PIN         "sha256-raw:" and the SHA-256 of its certificate, which "peerway derp" prints; or the name in it',
    name: '--name NAME        for reading; CODE when left out',
    id: '--id N             its number; the next from 901 on when left out',
    'derp-port': '--derp-port N      443 when left out',
    'stun-port': '--stun-port N|off  3478 when left out',
    ipv4: '--ipv4 ADDR|none   dialled instead of asking DNS',
    ipv6: '--ipv6 ADDR|none   dialled instead of asking DNS',
    ...adminOptionHelp,
  },
  example: 'peerway coord derp-map add-region fra --host derp.example.org --name Frankfurt',
  options: {
    ...adminOptions,
    host: { type: 'string' },
    cert: { type: 'string' },
    name: { type: 'string' },
    id: { type: 'string' },
    'derp-port': { type: 'string' },
    'stun-port': { type: 'string' },
    ipv4: { type: 'string' },
    ipv6: { type: 'string' },
  },
  positionals: [1, 1],
  async run(call) {
    const host = stringOption(call, 'host')
    if (host === undefined) throw new UsageError('Where is the relay? Name it with --host.')
    const wish = {
      code: call.positionals[0],
      host,
      id: numberOption(call, 'id'),
      name: stringOption(call, 'name'),
      certificate: stringOption(call, 'cert'),
      ipv4: stringOption(call, 'ipv4'),
      ipv6: stringOption(call, 'ipv6'),
      derpPort: numberOption(call, 'derp-port'),
      stunPort: stringOption(call, 'stun-port') === 'off' ? -1 : numberOption(call, 'stun-port'),
    }
    return answer(call, await ask(call, 'derp-map.add-region', wish), mapText)
  },
}

const removeRegion: Command = {
  name: 'coord derp-map remove-region',
  summary: 'Removes a region; of the server’s own, machines are no longer told.',
  usage: ['coord derp-map remove-region ID [--json]'],
  help: adminOptionHelp,
  example: 'peerway coord derp-map remove-region 901',
  options: adminOptions,
  positionals: [1, 1],
  async run(call) {
    const [text = ''] = call.positionals
    return answer(call, await ask(call, 'derp-map.remove-region', { id: wholeNumber(text, 'ID') }), mapText)
  },
}

function numberOption(call: CommandCall, name: string): number | undefined {
  const text = stringOption(call, name)
  return text === undefined ? undefined : wholeNumber(text, `--${name}`)
}

function wholeNumber(text: string, what: string): number {
  if (!/^\d{1,5}$/.test(text)) throw new UsageError(`${what} is a whole number, not "${text}".`)
  return Number(text)
}

function mapText({ embedded, regions }: DerpMapInfo): string {
  const rows = regions.flatMap((region) => region.nodes.map((node) => ({ region, node })))
  const table = list(['REGION', 'CODE', 'NAME', 'HOST', 'DERP', 'STUN', 'CERTIFICATE'], rows, ({ region, node }) => [
    String(region.id),
    region.code,
    nameOf(region),
    node.host,
    node.stunOnly ? '-' : String(node.derpPort),
    node.stunPort === undefined ? '-' : String(node.stunPort),
    certificateText(node.certificate),
  ])
  const remarks = {
    told: [],
    omitted: ['', 'Machines are not told of the server’s own region.'],
    none: [],
  }[embedded]
  if (rows.length === 0) return 'Machines are told of no relays.'
  return [table, ...remarks].join('\n')
}

const nameOf = ({ name, embedded }: DerpRegionView): string => (embedded ? `${name} (this server)` : name)

/** Enough of a pin to compare it by eye. */
function certificateText(certificate: string | undefined): string {
  if (certificate === undefined) return 'of an authority'
  return certificate.startsWith('sha256-raw:') ? `${certificate.slice(0, 27)}…` : certificate
}

export const derpMapCommands: readonly Command[] = [show, set, addRegion, removeRegion]
