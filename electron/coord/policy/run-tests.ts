// Runs the tests that a policy brings along. They are about people and tags rather than today's machines: whoever has no
// machine yet is tried with an imagined one.

import { isAutogroup } from './alias.ts'
import { CompiledPolicy } from './compile.ts'
import type { Alias, Destination, Policy, PolicyTest, SshTest } from './document.ts'
import { lineAndColumn } from './hujson.ts'
import type { IpSet } from './ip-set.ts'
import { DEFAULT_PROTOCOLS } from './protocols.ts'
import type { PolicyProblem } from './problem.ts'
import { sshRulesOf } from './ssh-rules.ts'
import type { PolicyNode, PolicyUser, Topology } from './topology.ts'

const TCP_OR_UDP: readonly number[] = [6, 17]
const CHECK = 'check'

/** The tests that fail, at their places in the text; none when all pass. */
export function runPolicyTests(text: string, policy: Policy, topology: Topology): PolicyProblem[] {
  if (policy.tests.length === 0 && policy.sshTests.length === 0) return []
  const tried = new CompiledPolicy(policy, withImagined(policy, topology))
  const failures: PolicyProblem[] = []
  const fail = (at: number, message: string): void => {
    failures.push({ ...lineAndColumn(text, at), message })
  }
  for (const test of policy.tests) runTest(tried, test, fail)
  for (const test of policy.sshTests) runSshTest(tried, test, fail)
  return failures
}

type Fail = (at: number, message: string) => void

function runTest(tried: CompiledPolicy, test: PolicyTest, fail: Fail): void {
  const protocols = test.protocols.length > 0 ? test.protocols : TCP_OR_UDP
  const sources = ends(tried, test.src)
  if (sources.length === 0)
    fail(test.src.at, `test failed: ${test.src.text} is nobody, so nothing is tested; name somebody`)
  const check = (one: Destination, isWanted: boolean): void => {
    if (one.alias.kind === 'host' && isBlock(tried.resolver.set(one.alias)))
      return fail(one.at, `test failed: ${one.text} is a block of addresses; test one of them`)
    for (const source of sources) {
      const targets = isAutogroup(one.alias, 'self') ? ownEnds(tried, source) : ends(tried, one.alias)
      const wrong = targets.find((target) => canReach(tried, source, target, one.port, protocols) !== isWanted)
      if (!wrong && (targets.length > 0 || !isWanted)) continue
      const word = isWanted ? 'cannot' : 'can'
      fail(one.at, `test failed: ${test.src.text} ${word} reach ${one.text}; mend the rules or the test`)
      return
    }
  }
  for (const one of test.accept) check(one, true)
  for (const one of test.deny) check(one, false)
}

const isBlock = (set: IpSet): boolean => set.ranges.some(({ from, to }) => from !== to)

/** One machine, or a block of addresses that is none. */
interface End {
  readonly set: IpSet
  readonly userKey: string | undefined
  readonly nodeKey: string | undefined
}

function ends(tried: CompiledPolicy, alias: Alias): End[] {
  const set = tried.resolver.set(alias)
  const places = tried.resolver.places.filter(({ own }) => set.overlaps(own))
  const found = places.map((place) => ({
    // A single address stays single: rules for the other family of its machine do not count.
    set: alias.kind === 'prefix' || alias.kind === 'host' ? set.intersect(place.own) : place.own,
    userKey: place.userKey,
    nodeKey: place.node.key,
  }))
  if (found.length > 0 || set.isEmpty) return found
  return [{ set, userKey: undefined, nodeKey: undefined }]
}

function ownEnds(tried: CompiledPolicy, { userKey }: End): End[] {
  if (userKey === undefined) return []
  return tried.resolver.placesOfUser(userKey).map(({ own, node }) => ({ set: own, userKey, nodeKey: node.key }))
}

function canReach(tried: CompiledPolicy, from: End, to: End, port: number, protocols: readonly number[]): boolean {
  if (tried.allowsAll) return true
  return tried.flows.some((flow) => {
    if (flow.kind !== 'packets' || !flow.src.overlaps(from.set)) return false
    const covered = flow.protocols.length > 0 ? flow.protocols : DEFAULT_PROTOCOLS
    if (!protocols.some((one) => covered.includes(one))) return false
    if (flow.isSelf && (from.userKey === undefined || from.userKey !== to.userKey)) return false
    return flow.targets.some(
      ({ set, ports }) =>
        (flow.isSelf || set.overlaps(to.set)) && ports.some(({ first, last }) => first <= port && port <= last),
    )
  })
}

function runSshTest(tried: CompiledPolicy, test: SshTest, fail: Fail): void {
  const sources = ends(tried, test.src)
  if (sources.length === 0)
    fail(test.src.at, `test failed: ${test.src.text} is nobody, so nothing is tested; name somebody`)
  for (const alias of test.dst) {
    const targets = ends(tried, alias)
    const expect = (logins: readonly string[], wanted: Outcome): void => {
      for (const login of logins) {
        const pairs = sources.flatMap((source) => targets.map((target) => sshOutcome(tried, source, target, login)))
        if (pairs.every((outcome) => outcome === wanted) && (pairs.length > 0 || wanted === 'deny')) continue
        const got = pairs.find((outcome) => outcome !== wanted) ?? 'deny'
        fail(
          test.at,
          `test failed: ${test.src.text} as ${login} on ${alias.text} is "${got}", not "${wanted}"; mend the rules or the test`,
        )
      }
    }
    expect(test.accept, 'accept')
    expect(test.deny, 'deny')
    expect(test.check, 'check')
  }
}

type Outcome = 'accept' | 'deny' | 'check'

function sshOutcome(tried: CompiledPolicy, from: End, to: End, login: string): Outcome {
  const place = tried.resolver.places.find(({ node }) => node.key === to.nodeKey)
  if (!place) return 'deny'
  for (const rule of sshRulesOf(place, tried.policy.ssh, tried.resolver, { holdAndDelegate: CHECK })) {
    const local = rule.sshUsers?.get(login) ?? rule.sshUsers?.get('*') ?? ''
    const isNamed = rule.principals?.some(({ nodeIp }) => nodeIp !== undefined && isAt(tried, from, nodeIp)) === true
    if (isNamed && local !== '') return rule.action?.holdAndDelegate === CHECK ? 'check' : 'accept'
  }
  return 'deny'
}

function isAt(tried: CompiledPolicy, end: End, address: string): boolean {
  return tried.resolver.places.some(({ node }) => node.key === end.nodeKey && node.addresses.includes(address))
}

/** Users and tags that the policy names get a machine if they have none. */
function withImagined(policy: Policy, topology: Topology): Topology {
  const users: PolicyUser[] = [...topology.users]
  const missing = new CompiledPolicy(policy, topology).resolver
  for (const name of namedUsers(policy)) {
    if (name.startsWith('*@') || missing.usersNamed(name).length > 0) continue
    const bare = name.endsWith('@') ? name.slice(0, -1) : name
    users.push({ key: `policy user ${bare.toLowerCase()}`, name: bare, ...(bare.includes('@') && { email: bare }) })
  }
  const nodes: PolicyNode[] = [...topology.nodes]
  const taken = new Set(nodes.flatMap(({ addresses }) => addresses))
  let last = 0
  const imagine = (key: string, more: { userKey?: string; tags?: readonly string[] }): void => {
    let addresses: string[]
    do {
      last++
      // The end of the range, which servers give out last.
      const [high, low] = [255 - (last >> 8), 254 - (last & 0xff)]
      addresses = [`100.127.${high}.${Math.max(low, 0)}`, `fd7a:115c:a1e0:ffff::${last.toString(16)}`]
    } while (addresses.some((address) => taken.has(address)) && last < 60_000)
    nodes.push({ key: `imagined ${key}`, userKey: more.userKey, tags: more.tags ?? [], addresses, routes: [] })
  }
  for (const user of users)
    if (!topology.nodes.some(({ userKey, tags }) => userKey === user.key && tags.length === 0))
      imagine(user.key, { userKey: user.key })
  for (const tag of policy.tagOwners.keys())
    if (!topology.nodes.some(({ tags }) => tags.includes(tag))) imagine(tag, { tags: [tag] })
  return { users: uniqueByKey(users), nodes }
}

function uniqueByKey(users: readonly PolicyUser[]): PolicyUser[] {
  return [...new Map(users.map((user) => [user.key, user])).values()]
}

function namedUsers(policy: Policy): Set<string> {
  const lists: readonly (readonly Alias[])[] = [
    ...(policy.acls ?? []).flatMap(({ src, dst }) => [src, dst.map(({ alias }) => alias)]),
    ...(policy.grants ?? []).flatMap(({ src, dst }) => [src, dst]),
    ...policy.ssh.flatMap(({ src, dst }) => [src, dst]),
    ...policy.tests.map(({ src, accept, deny }) => [
      src,
      ...accept.map(({ alias }) => alias),
      ...deny.map(({ alias }) => alias),
    ]),
    ...policy.sshTests.map(({ src, dst }) => [src, ...dst]),
    ...policy.tagOwners.values(),
  ]
  const named = new Set<string>([...policy.groups.values()].flat())
  for (const alias of lists.flat()) if (alias.kind === 'user') named.add(alias.name)
  return named
}
