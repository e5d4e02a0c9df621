// The members `tests` and `sshTests`: what whoever wrote the policy expects of it.

import { isAutogroup } from './alias.ts'
import type { Destination, PolicyTest, SshTest } from './document.ts'
import type { HuJson, HuMember } from './hujson.ts'
import { DESTINATION, SSH_TEST_DESTINATION, TEST_SOURCE, type Place } from './names-in-policy.ts'
import { takesPorts } from './protocols.ts'
import { readProtocol, type ReadContext } from './read-rules.ts'

const TEST_DESTINATION: Place = { ...DESTINATION, name: 'the destination of a test' }

export function readTest(context: ReadContext, value: HuJson): PolicyTest | undefined {
  const { shapes, aliases } = context
  const members = shapes.members(value, 'a test', ['src', 'proto', 'accept', 'deny'])
  const source = readSource(context, value, members.src)
  const protocols = readProtocol(shapes, members.proto)
  if (!takesPorts(protocols)) shapes.problems.add(members.proto?.at ?? value.at, 'tests are about tcp, udp or sctp')
  const destinations = (member: HuMember | undefined): Destination[] =>
    shapes.texts(member).flatMap(({ text, at }) => {
      const found = aliases.withPorts({ text, at }, TEST_DESTINATION)
      if (!found) return []
      const [range, ...more] = found.ports
      const { alias } = found
      const isOne = range !== undefined && more.length === 0 && range.first === range.last
      const isBlock = alias.kind === 'prefix' && alias.text.includes('/')
      if (!isOne || alias.kind === 'all' || isBlock || isAutogroup(alias, 'internet')) {
        shapes.problems.add(at, `a test names one host and one port, as in tag:server:22, not ${text}`)
        return []
      }
      return { at, text, alias, port: range.first }
    })
  const [accept, deny] = [destinations(members.accept), destinations(members.deny)]
  if ((members.accept ?? members.deny) === undefined)
    shapes.problems.add(value.at, 'this test expects nothing; give it "accept" or "deny"')
  return source && { at: value.at, src: source, protocols, accept, deny }
}

export function readSshTest(context: ReadContext, value: HuJson): SshTest | undefined {
  const { shapes, aliases } = context
  const members = shapes.members(value, 'a test of SSH', ['src', 'dst', 'accept', 'deny', 'check'])
  const source = readSource(context, value, members.src)
  const dst = aliases.list(members.dst, SSH_TEST_DESTINATION)
  for (const alias of dst)
    if (alias.kind === 'prefix' && alias.text.includes('/'))
      shapes.problems.add(alias.at, `a test of SSH names hosts, not blocks such as ${alias.text}`)
  const names = (member: HuMember | undefined): string[] =>
    shapes.texts(member).map(({ text, at }) => {
      if (text === '') shapes.problems.add(at, 'a login has a name')
      return text
    })
  const [accept, deny, check] = [names(members.accept), names(members.deny), names(members.check)]
  if (shapes.items(members.dst).length === 0) shapes.problems.add(value.at, 'this test has no "dst": say where')
  if (accept.length + deny.length + check.length === 0)
    shapes.problems.add(value.at, 'this test expects nothing; give it "accept", "deny" or "check"')
  return source && { at: value.at, src: source, dst, accept, deny, check }
}

function readSource({ shapes, aliases }: ReadContext, value: HuJson, member: HuMember | undefined) {
  if (!member) {
    shapes.problems.add(value.at, 'this test has no "src": say who tries')
    return undefined
  }
  const text = shapes.text(member.value, '"src"')
  return text && aliases.one(text, TEST_SOURCE)
}
