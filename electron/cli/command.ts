// A verb of the command line: its options, its help, and what it does. Parsing is node:util's parseArgs.

import { parseArgs, type ParseArgsConfig } from 'node:util'
import { CodedError } from '../base/errors.ts'
import { parseDuration } from '../base/deadline.ts'
import { didYouMean } from './nearest.ts'

export type OptionSpecs = NonNullable<ParseArgsConfig['options']>

export interface Command {
  readonly name: string
  readonly summary: string
  /** Lines under "Usage:", without the program's name. */
  readonly usage: readonly string[]
  /** Option name → one line of help. Shown in this order. */
  readonly help: Readonly<Record<string, string>>
  readonly example: string
  readonly options: OptionSpecs
  /** Fewest and most positional arguments. */
  readonly positionals: readonly [least: number, most: number]
  run(call: CommandCall): Promise<number>
}

export interface CommandCall {
  readonly values: Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>
  readonly positionals: readonly string[]
}

/** Wrong usage: exit status 2. */
export class UsageError extends CodedError<'cli/usage'> {
  constructor(message: string) {
    super('cli/usage', message)
  }
}

export const DONE = 0
export const FAILED = 1
export const WRONG_USAGE = 2

/** Options every verb that talks to an agent has. */
export const agentOptions = { socket: { type: 'string' } } as const satisfies OptionSpecs
export const agentOptionHelp = { socket: "--socket PATH      the running agent's socket" }

export function parseCommand(command: Command, args: readonly string[]): CommandCall | 'help' {
  let parsed
  try {
    parsed = parseArgs({
      args: args.map(goStyleFlag(command.options)),
      options: { ...command.options, help: { type: 'boolean', short: 'h' } },
      allowPositionals: true,
      strict: true,
    })
  } catch (error) {
    throw unreadable(command, error)
  }
  if (parsed.values['help'] === true) return 'help'
  const [least, most] = command.positionals
  if (parsed.positionals.length < least)
    throw new UsageError(
      `"${command.name}" needs ${least === 1 ? 'an argument' : `${least} arguments`}. ${usageOf(command)}`,
    )
  if (parsed.positionals.length > most)
    throw new UsageError(`"${parsed.positionals[most] ?? ''}" is one argument too many. ${usageOf(command)}`)
  return { values: parsed.values, positionals: parsed.positionals }
}

const usageOf = ({ name, usage }: Command): string => `Usage: peerway ${usage[0] ?? name}`

/** In our words, and with what to do next; those of parseArgs are for programmers. */
function unreadable({ name, options }: Command, error: unknown): UsageError {
  const told = error instanceof Error ? (error.message.split('. To specify')[0] ?? '') : ''
  const unknown = /^Unknown option '(-+[^' ]*)/.exec(told)?.[1]
  const more = `"peerway ${name} --help" lists them.`
  const [, option = '', takes] = /^Option '(?:-\w, )?(--[\w-]+).*?' (argument missing|does not take)/.exec(told) ?? []
  if (takes !== undefined)
    return new UsageError(
      `${option} ${takes === 'argument missing' ? 'needs a value' : 'takes no value'}. "peerway ${name} --help" explains it.`,
    )
  if (unknown === undefined) return new UsageError(`${told.replace(/\.?$/, '.')} ${more.replace('lists', 'explains')}`)
  const meant = didYouMean(unknown.replace(/^-+/, ''), Object.keys(options), (option) => `--${option}`)
  return new UsageError(`"${name}" has no option ${unknown}. ${meant}${more}`)
}

/** People of this field also type -flag and --flag=true: both are read. */
const goStyleFlag =
  (options: OptionSpecs) =>
  (arg: string): string => {
    const match = /^--?([a-z][a-z0-9-]*)(=.*)?$/.exec(arg)
    const name = match?.[1]
    if (name === undefined || name.length < 2) return arg
    if (!(name in options) && name !== 'help') return arg
    const value = match?.[2] ?? ''
    if (options[name]?.type === 'boolean' && value !== '') return value === '=false' ? `--no-${name}` : `--${name}`
    return `--${name}${value}`
  }

export function stringOption(call: CommandCall, name: string): string | undefined {
  const value = call.values[name]
  return typeof value === 'string' ? value : undefined
}

/** Milliseconds of a duration option such as "30s". */
export function durationOption(call: CommandCall, name: string, fallbackMs: number): number {
  const text = stringOption(call, name)
  if (text === undefined) return fallbackMs
  const ms = parseDuration(text)
  if (ms === undefined) throw new UsageError(`--${name} takes a duration such as 5s or 2m, not "${text}".`)
  return ms
}

/** For on and off where leaving it out means "as it is". */
export function switchOption(call: CommandCall, name: string): boolean | undefined {
  const text = stringOption(call, name)
  if (text === undefined) return undefined
  if (['on', 'true', 'yes'].includes(text)) return true
  if (['off', 'false', 'no'].includes(text)) return false
  throw new UsageError(`--${name} takes on or off, not "${text}".`)
}

export function portOption(call: CommandCall, name: string, fallback: number): number {
  const text = stringOption(call, name)
  if (text === undefined) return fallback
  const port = /^\d{1,5}$/.test(text) ? Number(text) : -1
  if (port < 0 || port > 65_535) throw new UsageError(`--${name} takes a port from 0 to 65535, not "${text}".`)
  return port
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** Progress and remarks: to stderr, and only to a terminal. */
export function remark(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`${line}\n`)
}

export function commandHelp(command: Command): string {
  const lines = [command.summary, '', 'Usage:', ...command.usage.map((usage) => `  peerway ${usage}`)]
  const help = Object.values(command.help)
  if (help.length > 0) lines.push('', 'Options:', ...help.map((line) => `  ${line}`))
  lines.push('', 'Example:', `  ${command.example}`)
  return lines.join('\n')
}
