// `peerway dns …`: how names of the network are found on this machine.

import { Resolver } from 'node:dns/promises'
import { CodedError, codeOf } from '../base/errors.ts'
import type { DnsView } from '../contract/dns-view.ts'
import {
  agentOptionHelp,
  agentOptions,
  type Command,
  DONE,
  durationOption,
  FAILED,
  print,
  UsageError,
} from './command.ts'
import { runFamily } from './family.ts'
import { table } from './table.ts'
import { agentOf } from './talk.ts'

const ANSWER_MS = 5_000

const status: Command = {
  name: 'dns status',
  summary: 'Whether names of the network are found here, and which servers are asked for what.',
  usage: ['dns status [--json]'],
  help: { json: '--json             one JSON document', ...agentOptionHelp },
  example: 'peerway dns status',
  options: { ...agentOptions, json: { type: 'boolean' } },
  positionals: [0, 0],
  async run(call) {
    const view = await agentOf(call).call('agent.dns')
    if (call.values['json'] === true) print(JSON.stringify(statusJson(view), undefined, 2))
    else for (const line of statusLines(view)) print(line)
    return view?.problem ? FAILED : DONE
  },
}

const OFF = 'Names of the network are not asked for on this machine. Turn them on: peerway set --accept-dns'

const AWAY = 'This machine is not connected; its names are asked for once it is: peerway up'

export function statusLines(view: DnsView | undefined): string[] {
  if (!view) return [AWAY]
  if (view.problem) return [view.problem.message]
  if (!view.isOn) return [OFF]
  const list = (servers: readonly string[]): string => servers.join(', ')
  const system =
    view.systemServers.length > 0 ? `${list(view.systemServers)} (as before)` : 'nobody: the system had none'
  const rows = [
    ...Object.entries(view.domains).map(([domain, servers]) => [
      domain,
      servers.length > 0 ? list(servers) : `here (${view.names} ${view.names === 1 ? 'name' : 'names'})`,
    ]),
    ['everything else', view.servers.length > 0 ? list(view.servers) : system],
  ]
  return [
    `Programs ask ${view.server}, which asks on:`,
    table(rows),
    ...(view.searchDomains.length > 0 ? [`Short names are completed with ${list(view.searchDomains)}.`] : []),
  ]
}

function statusJson(view: DnsView | undefined): Record<string, unknown> {
  return {
    On: view?.isOn === true,
    Server: view?.server ?? '',
    Names: view?.names ?? 0,
    Domains: view?.domains ?? {},
    Servers: view?.servers ?? [],
    SystemServers: view?.systemServers ?? [],
    SearchDomains: view?.searchDomains ?? [],
    Problem: view?.problem ?? null,
  }
}

const TYPES = ['A', 'AAAA', 'CNAME', 'MX', 'NS', 'PTR', 'SRV', 'TXT'] as const

const query: Command = {
  name: 'dns query',
  summary: 'Asks the built-in resolver for a name.',
  usage: ['dns query NAME [TYPE] [--json] [--timeout D]'],
  help: {
    json: '--json             one JSON document',
    timeout: '--timeout D        give up after D (5s)',
    ...agentOptionHelp,
  },
  example: 'peerway dns query nas',
  options: { ...agentOptions, json: { type: 'boolean' }, timeout: { type: 'string' } },
  positionals: [1, 2],
  async run(call) {
    const [name = '', wanted = 'A'] = call.positionals
    const type = TYPES.find((one) => one === wanted.toUpperCase())
    if (!type) throw new UsageError(`"${wanted}" is no type of record here. Known are ${TYPES.join(', ')}.`)
    const view = await agentOf(call).call('agent.dns')
    if (!view?.isOn) throw new CodedError('dns/off', view ? (view.problem?.message ?? OFF) : AWAY)
    const resolver = new Resolver({ timeout: durationOption(call, 'timeout', ANSWER_MS), tries: 1 })
    resolver.setServers([view.server])
    const { asked, records } = await firstFound(resolver, candidates(name, view.searchDomains), type)
    if (call.values['json'] === true) print(JSON.stringify({ Name: asked, Type: type, Records: records }, undefined, 2))
    else for (const record of records) print(typeof record === 'string' ? record : JSON.stringify(record))
    return DONE
  },
}

/** A short name is completed as programs do it. */
const candidates = (name: string, searchDomains: readonly string[]): string[] =>
  name.includes('.') ? [name] : [...searchDomains.map((domain) => `${name}.${domain}`), name]

async function firstFound(
  resolver: Resolver,
  names: readonly string[],
  type: (typeof TYPES)[number],
): Promise<{ readonly asked: string; readonly records: readonly unknown[] }> {
  let failure: unknown
  for (const name of names) {
    try {
      const found: unknown = await resolver.resolve(name, type)
      return { asked: name, records: Array.isArray(found) ? found : [found] }
    } catch (error) {
      failure = error
      if (codeOf(error) !== 'ENOTFOUND' && codeOf(error) !== 'ENODATA') break
    }
  }
  const [shown = ''] = names
  const code = codeOf(failure)
  if (code === 'ENOTFOUND') throw new CodedError('dns/no-such-name', `There is no name ${shown}.`)
  if (code === 'ENODATA') throw new CodedError('dns/no-record', `${shown} has no ${type} record.`)
  throw new CodedError('dns/no-answer', `No server answered for ${shown}. See peerway dns status.`)
}

const verbs: Readonly<Record<string, Command>> = { status, query }

export const commands: readonly Command[] = Object.values(verbs)

export const runDns = (args: readonly string[]): Promise<number> => runFamily('dns', verbs, args)
