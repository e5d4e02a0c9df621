// From the text of a policy to the policy. Everything wrong is found in one pass and told with line and column.

import { isV6 } from '../../base/endpoint.ts'
import type { Alias, NodeAttribute, Policy } from './document.ts'
import { type HuJson, HuJsonError, type HuMember, parseHuJson } from './hujson.ts'
import { hasHostBits, IpSet, prefixRange } from './ip-set.ts'
import { AliasReader, OWNER, TARGET } from './names-in-policy.ts'
import { Problems } from './problem.ts'
import { readAcl, readGrant } from './read-rules.ts'
import { readSshRule } from './read-ssh.ts'
import { readSshTest, readTest } from './read-tests.ts'
import { Shapes } from './shape.ts'

const MEMBERS = [
  'groups',
  'hosts',
  'tagOwners',
  'acls',
  'grants',
  'autoApprovers',
  'nodeAttrs',
  'ssh',
  'tests',
  'sshTests',
  'randomizeClientPort',
] as const

/** Throws PolicyError, and nothing else. */
export function readPolicy(text: string): Policy {
  const problems = new Problems(text)
  let document: HuJson
  try {
    document = parseHuJson(text)
  } catch (error) {
    if (!(error instanceof HuJsonError)) throw error
    problems.add(error.at, error.message)
    problems.throwIfAny()
    throw error
  }
  const shapes = new Shapes(problems)
  const members = shapes.members(document, 'a policy', MEMBERS)
  const { groups, hosts, tags } = readDefinitions(shapes, members)
  const aliases = new AliasReader(shapes, { groups: new Set(groups.keys()), hosts, tags: new Set(tags.keys()) })
  const context = { shapes, aliases }
  const each = <T>(member: HuMember | undefined, read: (value: HuJson) => T | undefined): T[] =>
    shapes.items(member).flatMap((item) => read(item) ?? [])

  const approvers = readApprovers(shapes, aliases, members.autoApprovers)
  const policy: Policy = {
    groups,
    hosts,
    tagOwners: new Map([...tags].map(([tag, member]) => [tag, aliases.list(member, OWNER)])),
    acls: members.acls && each(members.acls, (value) => readAcl(context, value)),
    grants: members.grants && each(members.grants, (value) => readGrant(context, value)),
    routeApprovers: approvers.routes,
    exitNodeApprovers: approvers.exitNode,
    nodeAttrs: each(members.nodeAttrs, (value) => readNodeAttribute(shapes, aliases, value)),
    ssh: each(members.ssh, (value) => readSshRule(context, value)),
    tests: each(members.tests, (value) => readTest(context, value)),
    sshTests: each(members.sshTests, (value) => readSshTest(context, value)),
    randomizeClientPort: shapes.flag(members.randomizeClientPort),
  }
  refuseTagCycles(shapes, policy.tagOwners, tags)
  problems.throwIfAny()
  return policy
}

type Members = Partial<Record<(typeof MEMBERS)[number], HuMember>>

function readDefinitions(shapes: Shapes, members: Members) {
  const { problems } = shapes
  const groups = new Map<string, string[]>()
  for (const member of entries(shapes, members.groups)) {
    if (!/^group:[^\s:]+$/.test(member.name))
      problems.add(member.at, `"${member.name}" is no name of a group; write as in group:admins`)
    const users: string[] = []
    for (const { text, at } of shapes.texts(member)) {
      if (text.startsWith('group:')) problems.add(at, `groups hold users, not groups; list the users of ${text} here`)
      else if (!text.includes('@') || /\s/.test(text))
        problems.add(at, `"${text}" is no user; write as in anna@example.org, or ${text.trim()}@ for a local one`)
      else users.push(text)
    }
    groups.set(member.name, users)
  }
  const hosts = new Map<string, IpSet>()
  for (const member of entries(shapes, members.hosts)) {
    if (!/^[a-zA-Z0-9_][a-zA-Z0-9_.-]*$/.test(member.name) || prefixRange(member.name))
      problems.add(member.at, `"${member.name}" is no name of a host: letters, digits, - and . make one`)
    const value = shapes.text(member.value, `the host "${member.name}"`)
    const range = value && prefixRange(value.text)
    if (value && !range) problems.add(value.at, `"${value.text}" is no address or CIDR block`)
    else if (value && range && hasHostBits(value.text))
      problems.add(
        value.at,
        `"${value.text}" has bits set beyond its length; write ${IpSet.of([range]).toPrefixes()[0] ?? ''}`,
      )
    if (range) hosts.set(member.name, IpSet.of([range]))
  }
  const tags = new Map<string, HuMember>()
  for (const member of entries(shapes, members.tagOwners)) {
    if (!/^tag:[a-zA-Z][a-zA-Z0-9-]*$/.test(member.name))
      problems.add(member.at, `"${member.name}" is no tag: after tag: comes a letter, then letters, digits and -`)
    tags.set(member.name, member)
  }
  return { groups, hosts, tags }
}

function entries(shapes: Shapes, member: HuMember | undefined): readonly HuMember[] {
  return member ? shapes.entries(member.value, `"${member.name}"`) : []
}

function readApprovers(shapes: Shapes, aliases: AliasReader, member: HuMember | undefined) {
  const routes: { prefix: IpSet; approvers: readonly Alias[] }[] = []
  const found = member ? shapes.members(member.value, '"autoApprovers"', ['routes', 'exitNode']) : {}
  for (const route of entries(shapes, found.routes)) {
    const range = prefixRange(route.name)
    if (!range || !route.name.includes('/'))
      shapes.problems.add(
        route.at,
        `"${route.name}" is no CIDR block; write as in ${isV6(route.name) ? 'fd00::/48' : '10.0.0.0/8'}`,
      )
    else routes.push({ prefix: IpSet.of([range]), approvers: aliases.list(route, OWNER) })
  }
  return { routes, exitNode: aliases.list(found.exitNode, OWNER) }
}

/** Where addresses of a pool may lie: control.md §9.10. */
const RESERVED_POOLS = ['100.100.100.0/24', '100.115.92.0/23'].flatMap((text) => prefixRange(text) ?? [])
const POOLS = IpSet.of(['100.64.0.0/10'].flatMap((text) => prefixRange(text) ?? [])).subtract(IpSet.of(RESERVED_POOLS))

function readNodeAttribute(shapes: Shapes, aliases: AliasReader, value: HuJson): NodeAttribute {
  const members = shapes.members(value, 'an entry of "nodeAttrs"', ['target', 'attr', 'ipPool'])
  if (!members.target) shapes.problems.add(value.at, 'this entry has no "target": say whose nodes it is about')
  const pools = shapes.texts(members.ipPool).flatMap(({ text, at }) => {
    const range = prefixRange(text)
    if (range && POOLS.covers(IpSet.of([range]))) return [range]
    shapes.problems.add(at, `the pool ${text} is not within 100.64.0.0/10, or in a reserved part of it`)
    return []
  })
  const attr = shapes.texts(members.attr).flatMap(({ text, at }) => {
    if (text !== '' && text.length <= 256) return text
    shapes.problems.add(at, 'an attribute has between 1 and 256 characters')
    return []
  })
  return { target: aliases.list(members.target, TARGET), attr, ipPool: IpSet.of(pools) }
}

function refuseTagCycles(
  shapes: Shapes,
  owners: ReadonlyMap<string, readonly Alias[]>,
  tags: ReadonlyMap<string, HuMember>,
): void {
  const done = new Set<string>()
  const visit = (tag: string, path: readonly string[]): void => {
    if (done.has(tag)) return
    if (path.includes(tag)) {
      const round = [...path.slice(path.indexOf(tag)), tag].join(' ← ')
      shapes.problems.add(
        tags.get(tag)?.at ?? 0,
        `tags own each other in a circle (${round}); take one of these owners away`,
      )
      for (const one of path) done.add(one)
      return
    }
    for (const owner of owners.get(tag) ?? [])
      if (owner.kind === 'tag' && owner.name !== tag) visit(owner.name, [...path, tag])
    done.add(tag)
  }
  for (const tag of owners.keys()) visit(tag, [])
}
