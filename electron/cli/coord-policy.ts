// The verbs `peerway coord policy …`. `check` and `compile` work on files alone; the others on a server.

import { readFile } from 'node:fs/promises'
import { CodedError, messageOf } from '../base/errors.ts'
import { CompiledPolicy } from '../coord/policy/compile.ts'
import { PolicyError, type PolicyProblem, problemText } from '../coord/policy/problem.ts'
import { readPolicy } from '../coord/policy/read-policy.ts'
import { reportPolicy, type NodeReport } from '../coord/policy/report.ts'
import { runPolicyTests } from '../coord/policy/run-tests.ts'
import type { Topology } from '../coord/policy/topology.ts'
import { readTopology } from '../coord/policy/topology-file.ts'
import { answer } from './coord-admin.ts'
import { type Command, DONE, FAILED, print, stringOption, UsageError } from './command.ts'

const json = { type: 'boolean' } as const
const jsonHelp = '--json             one JSON document on stdout'
const topologyHelp = '--topology FILE    users and nodes, as JSON'

const policyCompile: Command = {
  name: 'coord policy compile',
  summary: 'Shows what a policy means for each node of a tailnet, without a server.',
  usage: [
    'coord policy compile FILE --topology FILE [--json]',
    'The topology: { "users": [{ "name" }], "nodes": [{ "name", "user" or "tags", "addresses", "routableIPs", "approvedRoutes" }] }',
  ],
  help: { topology: topologyHelp, json: jsonHelp },
  example: 'peerway coord policy compile policy.hujson --topology tailnet.json --json',
  options: { topology: { type: 'string' }, json },
  positionals: [1, 1],
  async run(call) {
    const place = stringOption(call, 'topology')
    if (place === undefined) throw new UsageError('For which tailnet? Name a file of users and nodes with --topology.')
    const policy = readPolicy(await fileText(call.positionals[0] ?? ''))
    const topology = readTopology(await fileText(place))
    return answer(call, reportPolicy(new CompiledPolicy(policy, topology), topology), (report) =>
      Object.entries(report).map(nodeText).join('\n\n'),
    )
  },
}

const policyCheck: Command = {
  name: 'coord policy check',
  summary: 'Checks a policy and runs its tests, without a server.',
  usage: ['coord policy check FILE [--topology FILE] [--json]'],
  help: { topology: `${topologyHelp}; for tests that name addresses`, json: jsonHelp },
  example: 'peerway coord policy check policy.hujson',
  options: { topology: { type: 'string' }, json },
  positionals: [1, 1],
  async run(call) {
    const [file = ''] = call.positionals
    const place = stringOption(call, 'topology')
    const text = await fileText(file)
    const topology = place === undefined ? { users: [], nodes: [] } : readTopology(await fileText(place))
    const { problems, tests } = check(text, topology)
    if (call.values['json'] === true) {
      print(JSON.stringify({ ok: problems.length === 0, tests, problems }, null, 2))
      return problems.length === 0 ? DONE : FAILED
    }
    if (problems.length === 0) {
      print(
        `The policy is fine${tests === 0 ? '' : `, and its ${tests === 1 ? 'test passes' : `${tests} tests pass`}`}.`,
      )
      return DONE
    }
    for (const problem of problems) print(`${file}: ${problemText(problem)}`)
    return FAILED
  },
}

function check(
  text: string,
  topology: Topology,
): { readonly problems: readonly PolicyProblem[]; readonly tests: number } {
  try {
    const policy = readPolicy(text)
    return { problems: runPolicyTests(text, policy, topology), tests: policy.tests.length + policy.sshTests.length }
  } catch (error) {
    if (error instanceof PolicyError) return { problems: error.problems, tests: 0 }
    throw error
  }
}

function nodeText([name, report]: [string, NodeReport]): string {
  const lines = (title: string, items: readonly unknown[]): string[] =>
    items.length === 0
      ? []
      : [`  ${title}:`, ...items.map((item) => `    ${typeof item === 'string' ? item : JSON.stringify(item)}`)]
  return [
    name,
    ...(report.packetFilter.length === 0 ? ['  lets nobody in'] : lines('lets in', report.packetFilter)),
    ...lines('capabilities', report.capabilities),
    ...lines('SSH', report.sshRules),
    ...lines('sees', report.peers),
    ...lines('routes approved by the policy', report.autoApprovedRoutes),
  ].join('\n')
}

export async function fileText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new CodedError('cli/unreadable', `${path} cannot be read: ${messageOf(error)}.`, { cause: error })
  }
}

export const policyCommands: readonly Command[] = [policyCompile, policyCheck]
