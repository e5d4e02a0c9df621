// The verbs `peerway coord …`: runs and manages a coordination server.

import { authKeysCreate, authKeysList, authKeysRevoke } from './coord-auth-keys.ts'
import { backupCommands } from './coord-backup.ts'
import { derpMapCommands } from './coord-derp-map.ts'
import { dnsCommands } from './coord-dns.ts'
import {
  nodesApprove,
  nodesDelete,
  nodesExpire,
  nodesKeys,
  nodesList,
  nodesMove,
  nodesRename,
  nodesShow,
  nodesTag,
} from './coord-nodes.ts'
import { oidcCommands } from './coord-oidc.ts'
import { policyCommands } from './coord-policy.ts'
import { routeCommands } from './coord-routes.ts'
import { relaysAdvice } from './coord-relays.ts'
import { serve } from './coord-serve.ts'
import { tailnetCommands } from './coord-tailnets.ts'
import { importCommands } from './coord-import.ts'
import { tokenCommands } from './coord-tokens.ts'
import { coordSettings } from './coord-settings.ts'
import {
  usersCreate,
  usersDelete,
  usersInvite,
  usersList,
  usersRename,
  usersReset,
  usersRole,
  usersSetupCode,
} from './coord-users.ts'
import { type Command, commandHelp, DONE, parseCommand, print, UsageError } from './command.ts'
import { didYouMean } from './nearest.ts'

export const commands: readonly Command[] = [
  serve,
  usersList,
  usersCreate,
  usersInvite,
  usersReset,
  usersSetupCode,
  usersRename,
  usersRole,
  usersDelete,
  authKeysCreate,
  authKeysList,
  authKeysRevoke,
  nodesList,
  nodesShow,
  nodesApprove,
  nodesRename,
  nodesTag,
  nodesMove,
  nodesExpire,
  nodesKeys,
  nodesDelete,
  coordSettings,
  ...routeCommands,
  relaysAdvice,
  ...derpMapCommands,
  ...dnsCommands,
  ...policyCommands,
  ...oidcCommands,
  ...tokenCommands,
  ...importCommands,
  ...tailnetCommands,
  ...backupCommands,
]

/** Returns the exit status; throws CodedError, of which the caller makes a line on stderr. */
export async function runCoord(args: readonly string[]): Promise<number> {
  if (args[0] === 'help') return runCoord([...args.slice(1), '--help'])
  const [command, rest] = find(args)
  if (!command) {
    print(help(args.filter((arg) => !arg.startsWith('-'))))
    return DONE
  }
  const call = parseCommand(command, rest)
  if (call !== 'help') return command.run(call)
  print(commandHelp(command))
  return DONE
}

/** The verb may have one word or two, and options may stand before it. */
function find(args: readonly string[]): [command: Command | undefined, rest: string[]] {
  for (const command of commands) {
    const [, ...words] = command.name.split(' ')
    const at = args.indexOf(words[0] ?? '')
    if (at >= 0 && words.every((word, i) => args[at + i] === word) && !args.slice(0, at).some(isWord))
      return [command, [...args.slice(0, at), ...args.slice(at + words.length)]]
  }
  return [undefined, []]
}

const isWord = (arg: string, i: number, before: readonly string[]): boolean =>
  !arg.startsWith('-') && before[i - 1]?.startsWith('--') !== true

/** Of all verbs, or of those that begin so. */
function help(words: readonly string[]): string {
  const shown = commands.filter(({ name }) => words.every((word, i) => name.split(' ')[i + 1] === word))
  if (shown.length === 0) {
    const typed = words.slice(0, 2).join(' ')
    const known = new Set(
      commands.flatMap(({ name }) => [name.split(' ').slice(1).join(' '), name.split(' ')[1] ?? '']),
    )
    const meant = didYouMean(typed, known, (name) => `"peerway coord ${name}"`)
    throw new UsageError(`There is no command "coord ${typed}". ${meant}"peerway coord help" lists them.`)
  }
  const width = Math.max(...shown.map(({ name }) => name.length))
  return [
    'Runs and manages a coordination server.',
    '',
    'Commands:',
    ...shown.map(({ name, summary }) => `  ${name.padEnd(width)} ${summary}`),
    '',
    'More: peerway coord COMMAND --help',
  ].join('\n')
}
