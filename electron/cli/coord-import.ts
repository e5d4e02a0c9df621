// `peerway coord import …`: the network of another server, carried over.

import { resolve } from 'node:path'
import type { ImportInfo, MoveInfo, RejoinInfo } from '../coord/import/import-admin.ts'
import { adminOptionHelp, adminOptions, answer, ask, list, secretIn } from './coord-admin.ts'
import { type Command, type CommandCall, durationOption, stringOption, UsageError } from './command.ts'

const REJOIN_MS = 7 * 86_400_000

/** The one that Headscale's own command line reads. */
const API_KEY_VARIABLE = 'HEADSCALE_CLI_API_KEY'

const importHeadscale: Command = {
  name: 'coord import headscale',
  summary: 'Carries users, machines, addresses, tags, routes and policy over from a Headscale server.',
  usage: ['coord import headscale FILE [--apply] [--json]', 'coord import headscale --url URL [--api-key-file FILE] …'],
  help: {
    url: '--url URL          ask that server itself, in place of its database file',
    'api-key-file': `--api-key-file FILE its API key; "-" reads stdin, and left out ${API_KEY_VARIABLE} has it`,
    apply: '--apply            do it; otherwise only what would be is told',
    ...adminOptionHelp,
  },
  example: 'peerway coord import headscale /var/lib/headscale/db.sqlite',
  options: {
    ...adminOptions,
    apply: { type: 'boolean' },
    url: { type: 'string' },
    'api-key-file': { type: 'string' },
  },
  positionals: [0, 1],
  async run(call) {
    const [file] = call.positionals
    const url = stringOption(call, 'url')
    const apply = call.values['apply'] === true
    if ((file === undefined) === (url === undefined))
      throw new UsageError('Name either the database file of that server, or its --url.')
    if (url === undefined && stringOption(call, 'api-key-file') !== undefined)
      throw new UsageError('An --api-key-file goes with --url.')
    const found =
      url === undefined
        ? await ask(call, 'import.headscale', { file: resolve(file ?? ''), apply })
        : await ask(call, 'import.headscale-server', { url, apiKey: await apiKey(call), apply }, 60_000)
    return answer(call, found, importText)
  },
}

async function apiKey(call: CommandCall): Promise<string> {
  const file = stringOption(call, 'api-key-file')
  const key = file === undefined ? process.env[API_KEY_VARIABLE] : await secretIn('API key', file)
  if (key === undefined || key.trim() === '')
    throw new UsageError(
      `An API key is needed: "headscale apikeys create" makes one there. Hand it over by --api-key-file or in ${API_KEY_VARIABLE}.`,
    )
  return key.trim()
}

const importTailscale: Command = {
  name: 'coord import tailscale',
  summary: 'Carries users, machines, addresses, tags, routes and policy over from what Tailscale’s service gives out.',
  usage: ['coord import tailscale [--policy FILE] [--devices FILE] [--users FILE] [--apply] [--json]'],
  help: {
    policy: '--policy FILE      the policy file, as the access controls page has it',
    devices: '--devices FILE     what GET /api/v2/tailnet/-/devices?fields=all answers',
    users: '--users FILE       what GET /api/v2/tailnet/-/users answers: names and roles',
    apply: '--apply            do it; otherwise only what would be is told',
    ...adminOptionHelp,
  },
  example: 'peerway coord import tailscale --policy policy.hujson --devices devices.json',
  options: {
    ...adminOptions,
    apply: { type: 'boolean' },
    policy: { type: 'string' },
    devices: { type: 'string' },
    users: { type: 'string' },
  },
  positionals: [0, 0],
  async run(call) {
    const file = (name: string): string | undefined => {
      const given = stringOption(call, name)
      return given === undefined ? undefined : resolve(given)
    }
    const files = { policy: file('policy'), devices: file('devices'), users: file('users') }
    if (Object.values(files).every((one) => one === undefined))
      throw new UsageError('Name at least one of --policy, --devices and --users.')
    const found = await ask(call, 'import.tailscale', { ...files, apply: call.values['apply'] === true })
    return answer(call, found, importText)
  },
}

const POLICY: Readonly<Record<ImportInfo['policy'], string>> = {
  none: 'There is no policy in it.',
  carried: 'Its policy is carried over.',
  kept: 'Its policy is not carried over.',
  refused: 'Its policy cannot be used as it is, and is not carried over.',
}

function importText({ applied, users, nodes, policy, remarks }: ImportInfo): string {
  const lines = [
    `${users.length} ${users.length === 1 ? 'user' : 'users'}, ${nodes.length} ${nodes.length === 1 ? 'machine' : 'machines'}. ${POLICY[policy]}`,
    ...(nodes.length > 0
      ? [
          '',
          list(['MACHINE', 'USER', 'ADDRESS', 'TAGS', 'ROUTES'], nodes, (node) => [
            node.name,
            node.user,
            node.address,
            node.tags.join(' ') || '-',
            node.routes.join(' ') || '-',
          ]),
        ]
      : []),
    ...(remarks.length > 0 ? ['', 'Not as it was:', ...remarks.map((remark) => `  ${remark}`)] : []),
    '',
    applied
      ? 'Now each machine joins here. peerway coord import rejoin says what to type on each, and import status who has.'
      : 'Nothing is changed yet. To do it, say the same with --apply.',
  ]
  return lines.join('\n')
}

const importStatus: Command = {
  name: 'coord import status',
  summary: 'Says who of the imported machines has joined here, and what to type on the others.',
  usage: ['coord import status [--json]'],
  help: adminOptionHelp,
  example: 'peerway coord import status',
  options: adminOptions,
  positionals: [0, 0],
  async run(call) {
    return answer(call, await ask(call, 'import.status', {}), statusText)
  },
}

function statusText({ moves, url }: { readonly moves: readonly MoveInfo[]; readonly url: string }): string {
  if (moves.length === 0) return 'No machines have been imported. Begin with: peerway coord import --help'
  const left = moves.filter(({ moved }) => !moved)
  const table = list(['MACHINE', 'USER', 'ADDRESS', 'JOINED'], moves, ({ node, user, address, moved }) => [
    node,
    user,
    address,
    moved ? 'yes' : 'not yet',
  ])
  if (left.length === 0) return `${table}\n\nAll have joined.`
  return [table, '', `They join at ${url}. What to type on each that has not: peerway coord import rejoin`].join('\n')
}

const importRejoin: Command = {
  name: 'coord import rejoin',
  summary: 'Makes a key for each imported machine that has not joined, by which it keeps its name and addresses.',
  usage: ['coord import rejoin [MACHINE…] [--expiry D] [--json]'],
  help: { expiry: '--expiry D         how long the keys last (168h)', ...adminOptionHelp },
  example: 'peerway coord import rejoin nas',
  options: { ...adminOptions, expiry: { type: 'string' } },
  positionals: [0, 1_000],
  async run(call) {
    const lifeMs = durationOption(call, 'expiry', REJOIN_MS)
    const made = await ask(call, 'import.rejoin', { machines: call.positionals, lifeMs }, 60_000)
    return answer(call, made, rejoinText)
  },
}

function rejoinText({ machines, url }: { readonly machines: readonly RejoinInfo[]; readonly url: string }): string {
  if (machines.length === 0) return 'No machine is waited for.'
  const blocks = machines.map(({ node, user, address, key }) =>
    [
      `On ${node} (${address}, of ${user}), one of:`,
      `  tailscale up --login-server ${url} --auth-key ${key} --force-reauth`,
      `  peerway up --login-server ${url} --auth-key ${key}`,
      '',
    ].join('\n'),
  )
  return [
    ...blocks,
    'Each key is for its machine only, and works once. The machine keeps its name and its addresses.',
  ].join('\n')
}

export const importCommands: readonly Command[] = [importHeadscale, importTailscale, importRejoin, importStatus]
