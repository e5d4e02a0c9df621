// `peerway coord import …`: the network of another server, carried over.

import { resolve } from 'node:path'
import type { ImportInfo, MoveInfo } from '../coord/import/import-admin.ts'
import { adminOptionHelp, adminOptions, answer, ask, list } from './coord-admin.ts'
import type { Command } from './command.ts'

const importHeadscale: Command = {
  name: 'coord import headscale',
  summary: 'Carries users, machines, addresses, tags, routes and policy over from a Headscale database.',
  usage: ['coord import headscale FILE [--apply] [--json]'],
  help: { apply: '--apply            do it; otherwise only what would be is told', ...adminOptionHelp },
  example: 'peerway coord import headscale /var/lib/headscale/db.sqlite',
  options: { ...adminOptions, apply: { type: 'boolean' } },
  positionals: [1, 1],
  async run(call) {
    const [file = ''] = call.positionals
    const found = await ask(call, 'import.headscale', { file: resolve(file), apply: call.values['apply'] === true })
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
          list(['MACHINE', 'USER', 'ADDRESS', 'TAGS'], nodes, (node) => [
            node.name,
            node.user,
            node.address,
            node.tags.join(' '),
          ]),
        ]
      : []),
    ...(remarks.length > 0 ? ['', 'Not as it was:', ...remarks.map((remark) => `  ${remark}`)] : []),
    '',
    applied
      ? 'Now each machine joins here (peerway coord import status says how, and who has).'
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
  if (moves.length === 0) return 'No machines have been imported. Begin with: peerway coord import headscale FILE'
  const left = moves.filter(({ moved }) => !moved)
  const table = list(['MACHINE', 'USER', 'ADDRESS', 'JOINED'], moves, ({ node, user, address, moved }) => [
    node,
    user,
    address,
    moved ? 'yes' : 'not yet',
  ])
  if (left.length === 0) return `${table}\n\nAll have joined.`
  return [
    table,
    '',
    `On each that has not, with a key of its user (peerway coord auth-keys create --user NAME):`,
    `  tailscale up --login-server ${url} --auth-key KEY --force-reauth`,
    `  peerway up --login-server ${url} --auth-key KEY`,
    'It keeps its name and its addresses.',
  ].join('\n')
}

export const importCommands: readonly Command[] = [importHeadscale, importStatus]
