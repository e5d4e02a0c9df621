// What the administrative verbs of `peerway coord` share: where the server is, how long to wait, and how answers look.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { AdminCallName, AdminCallResult, CallArguments } from '../coord/admin/admin-calls.ts'
import { administer } from '../coord/admin/open-admin.ts'
import { defaultStateDir } from '../os/host.ts'
import { type CommandCall, DONE, durationOption, type OptionSpecs, print, stringOption, UsageError } from './command.ts'
import { whyUnreadable } from './read-file.ts'
import { table } from './table.ts'

const TIMEOUT_MS = 10_000

export const adminOptions = {
  state: { type: 'string' },
  database: { type: 'string' },
  tailnet: { type: 'string' },
  json: { type: 'boolean' },
  timeout: { type: 'string' },
} as const satisfies OptionSpecs

export const adminOptionHelp = {
  tailnet: '--tailnet NAME     of several tailnets, which; the first when left out',
  state: '--state DIR        where the server keeps its state',
  database: '--database URL     postgres://…, where that is not said in the state folder',
  json: '--json             one JSON document on stdout',
  timeout: '--timeout D        how long to wait for a running server (10s)',
}

export function coordStateDir(call: CommandCall): string {
  return stringOption(call, 'state') ?? join(defaultStateDir(), 'coord')
}

export function ask<N extends AdminCallName>(
  call: CommandCall,
  name: N,
  args: CallArguments,
  longestMs = TIMEOUT_MS,
): Promise<AdminCallResult<N>> {
  const timeoutMs = durationOption(call, 'timeout', longestMs)
  const inTailnet = { ...args, tailnet: stringOption(call, 'tailnet') }
  return administer(coordStateDir(call), name, inTailnet, timeoutMs, stringOption(call, 'database'))
}

/** The value as JSON when that was asked for, else as `text` tells it. */
export function answer<T>(call: CommandCall, value: T, text: (value: T) => string): number {
  const output = call.values['json'] === true ? JSON.stringify(value, null, 2) : text(value)
  if (output !== '') print(output)
  return DONE
}

export function list<T>(heads: readonly string[], rows: readonly T[], cells: (row: T) => readonly string[]): string {
  return table([heads, ...rows.map(cells)])
}

/** "2026-01-01 12:00" in UTC; a dash for never, and for what was there from the first. */
export function when(time: string | undefined): string {
  return time === undefined || time.startsWith('1970-') ? '-' : time.slice(0, 16).replace('T', ' ')
}

/** Secrets come by a file, or by "-" from stdin: arguments are seen by all on the machine. */
export async function secretIn(what: string, file: string): Promise<string> {
  try {
    return (file === '-' ? await text(process.stdin) : await readFile(file, 'utf8')).replace(/\r?\n$/, '')
  } catch (error) {
    throw new UsageError(`The ${what} cannot be read: ${whyUnreadable(error)}. Name its file, or "-" for stdin.`)
  }
}
