// The command line's entry: finds the verb, prints help, turns errors into one line and an exit status.

import { isCoded, messageOf } from '../base/errors.ts'
import { agent } from './agent.ts'
import { type AllCommands, completion } from './completion/completion.ts'
import { type Command, commandHelp, DONE, FAILED, parseCommand, UsageError, WRONG_USAGE } from './command.ts'
import { doctor } from './doctor.ts'
import { didYouMean } from './nearest.ts'
import { netcheck } from './netcheck.ts'
import { path } from './path.ts'
import { metrics } from './metrics.ts'
import { ping } from './ping.ts'
import { ip, status } from './status.ts'
import { set } from './set.ts'
import { switchProfile } from './switch.ts'
import { down, login, logout, up } from './up.ts'
import { version } from './version.ts'

const commands: readonly Command[] = [
  agent,
  up,
  down,
  login,
  logout,
  switchProfile,
  set,
  status,
  ip,
  path,
  ping,
  netcheck,
  doctor,
  metrics,
  version,
  completion(everyCommand),
]

/** Verbs with verbs of their own; loaded only when used, so that `status` stays quick. */
const families: Readonly<Record<string, { summary: string; run(args: readonly string[]): Promise<number> }>> = {
  coord: {
    summary: 'Runs and manages a coordination server: serve, users, auth-keys, nodes.',
    run: async (args) => (await import('./coord.ts')).runCoord([...args]),
  },
  'start-headless': {
    summary: 'Runs the agent and the network of this computer without a window.',
    run: async (args) => runCommand((await import('./start-headless.ts')).startHeadless, args),
  },
  relay: {
    summary: 'This machine as a relay for others: status, test.',
    run: async (args) => (await import('./relay.ts')).runRelay([...args]),
  },
  dns: {
    summary: 'How names of the network are found: status, query.',
    run: async (args) => (await import('./dns.ts')).runDns([...args]),
  },
  derp: {
    summary: 'Runs a DERP server alone.',
    run: async (args) => (await import('./derp.ts')).runDerp([...args]),
  },
}

/** Of the families too, which are loaded for it. */
async function everyCommand(): Promise<AllCommands> {
  const [coord, { startHeadless }, relay, dns, derp] = await Promise.all([
    import('./coord.ts'),
    import('./start-headless.ts'),
    import('./relay.ts'),
    import('./dns.ts'),
    import('./derp.ts'),
  ])
  return {
    commands: [...commands, startHeadless, ...relay.commands, ...dns.commands, ...derp.commands, ...coord.commands],
    families: new Map(Object.entries(families).map(([name, { summary }]) => [name, summary])),
  }
}

async function main(args: readonly string[]): Promise<number> {
  const [verb = 'help', ...rest] = args
  if (verb === 'help' || verb === '--help' || verb === '-h') return help(rest)
  if (verb === '--version') return version.run({ values: {}, positionals: [] })
  const family = Object.hasOwn(families, verb) ? families[verb] : undefined
  if (family) return family.run(rest)
  // Global options may stand before the verb, as in `peerway --socket PATH status`.
  const [options, found, after] = splitAtVerb(args)
  if (found === 'relay' || found === 'dns') return families[found]?.run([...after, ...options]) ?? FAILED
  const command = commands.find(({ name }) => name === found)
  if (!command) throw noSuchCommand(found ?? verb)
  return runCommand(command, [...options, ...after])
}

async function runCommand(command: Command, args: readonly string[]): Promise<number> {
  const call = parseCommand(command, args)
  if (call === 'help') {
    process.stdout.write(`${commandHelp(command)}\n`)
    return DONE
  }
  return command.run(call)
}

function splitAtVerb(args: readonly string[]): [options: string[], verb: string | undefined, rest: string[]] {
  let at = 0
  while (at < args.length && args[at]?.startsWith('-')) at += args[at]?.includes('=') ? 1 : 2
  return [args.slice(0, at), args[at], args.slice(at + 1)]
}

function noSuchCommand(name: string): UsageError {
  const known = [...commands.map((command) => command.name), ...Object.keys(families), 'help']
  const meant = didYouMean(name, known, (one) => `"peerway ${one}"`)
  return new UsageError(`There is no command "${name}". ${meant}"peerway help" lists them.`)
}

async function help([name, ...part]: readonly string[]): Promise<number> {
  if (name === undefined) {
    const lines: [string, string][] = [
      ...commands.map((command): [string, string] => [command.name, command.summary]),
      ...Object.entries(families).map(([family, { summary }]): [string, string] => [family, summary]),
    ]
    process.stdout.write(
      `Peerway: a private network of your own.\n\nUsage:\n  peerway COMMAND [OPTIONS]\n\nCommands:\n${lines.map(([command, summary]) => `  ${command.padEnd(14)} ${summary}`).join('\n')}\n\nMore: peerway help COMMAND\n`,
    )
    return DONE
  }
  const command = commands.find((one) => one.name === name)
  if (command) process.stdout.write(`${commandHelp(command)}\n`)
  else if (Object.hasOwn(families, name)) return (await families[name]?.run([...part, '--help'])) ?? FAILED
  else throw noSuchCommand(name)
  return DONE
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  const code = isCoded(error) ? error.code : 'internal/failed'
  process.stderr.write(`${messageOf(error)} [${code}]\n`)
  process.exitCode = error instanceof UsageError ? WRONG_USAGE : FAILED
}
