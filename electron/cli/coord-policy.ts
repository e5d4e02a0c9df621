// The verbs `peerway coord policy …`. `check` and `compile` work on files alone; `get`, `diff` and `set` on a server.

import { CodedError, isCoded } from '../base/errors.ts'
import { CompiledPolicy } from '../coord/policy/compile.ts'
import { PolicyError, type PolicyProblem, problemText } from '../coord/policy/problem.ts'
import { readPolicy } from '../coord/policy/read-policy.ts'
import { reportPolicy, type NodeReport } from '../coord/policy/report.ts'
import { runPolicyTests } from '../coord/policy/run-tests.ts'
import type { Topology } from '../coord/policy/topology.ts'
import { readTopology } from '../coord/policy/topology-file.ts'
import { adminOptionHelp, adminOptions, answer, ask } from './coord-admin.ts'
import { type Command, type CommandCall, DONE, FAILED, print, stringOption, UsageError } from './command.ts'
import { textOfFile } from './read-file.ts'

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
    const policy = readPolicy(await textOfFile(call.positionals[0] ?? ''))
    const topology = readTopology(await textOfFile(place))
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
    const text = await textOfFile(file)
    const topology = place === undefined ? { users: [], nodes: [] } : readTopology(await textOfFile(place))
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

const policyGet: Command = {
  name: 'coord policy get',
  summary: 'Prints the policy in force.',
  usage: ['coord policy get [--revision N] [--json]'],
  help: { revision: '--revision N       an earlier one; 0 is the default', ...adminOptionHelp },
  example: 'peerway coord policy get > policy.hujson',
  options: { ...adminOptions, revision: { type: 'string' } },
  positionals: [0, 0],
  async run(call) {
    const policy = await ask(call, 'policy.get', { revision: numberOption(call, 'revision') })
    return answer(call, policy, ({ text }) => text.replace(/\n$/, ''))
  },
}

const policyDiff: Command = {
  name: 'coord policy diff',
  summary: 'Shows who would gain and who would lose what; changes nothing.',
  usage: ['coord policy diff FILE [--json]'],
  help: adminOptionHelp,
  example: 'peerway coord policy diff policy.hujson',
  options: adminOptions,
  positionals: [1, 1],
  async run(call) {
    const text = await textOfFile(call.positionals[0] ?? '')
    return answer(call, await ask(call, 'policy.diff', { text }), ({ effects, isCut }) => {
      const lines = effects.map(({ from, to, gains, loses }) =>
        [`${from} → ${to}:`, ...gains.map((one) => `+${one}`), ...loses.map((one) => `-${one}`)].join(' '),
      )
      if (isCut) lines.push('… and more: this tailnet is too large to show all of it.')
      return lines.length === 0 ? 'Nothing changes for the nodes there are.' : lines.join('\n')
    })
  },
}

const policySet: Command = {
  name: 'coord policy set',
  summary: 'Puts a policy in force, if it is valid and its tests pass.',
  usage: ['coord policy set FILE [--expect N]', 'Going back: coord policy get --revision N > FILE, then set it.'],
  help: { expect: '--expect N         only if revision N is still in force', ...adminOptionHelp },
  example: 'peerway coord policy set policy.hujson',
  options: { ...adminOptions, expect: { type: 'string' } },
  positionals: [1, 1],
  async run(call) {
    const text = await textOfFile(call.positionals[0] ?? '')
    const policy = await ask(call, 'policy.set', { text, expected: numberOption(call, 'expect') }).catch(
      (error: unknown) => {
        if (!isCoded(error, 'coord/policy-invalid')) throw error
        throw new CodedError(error.code, `${error.message}. All of it: peerway coord policy check FILE`, {
          cause: error,
        })
      },
    )
    return answer(call, policy, ({ revision }) => `Revision ${revision} of the policy is in force.`)
  },
}

function numberOption(call: CommandCall, name: string): number | undefined {
  const text = stringOption(call, name)
  if (text === undefined) return undefined
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`--${name} takes the number of a revision, not "${text}".`)
  return Number(text)
}

export const policyCommands: readonly Command[] = [policyGet, policySet, policyDiff, policyCheck, policyCompile]
