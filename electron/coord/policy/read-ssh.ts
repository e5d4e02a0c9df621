// The member `ssh`: control.md §9.8.

import { isAutogroup } from './alias.ts'
import type { SshLogin, SshRule } from './document.ts'
import type { HuJson, HuMember } from './hujson.ts'
import { SSH_DESTINATION, SSH_SOURCE } from './names-in-policy.ts'
import type { ReadContext } from './read-rules.ts'
import type { Shapes } from './shape.ts'

const HOUR_MS = 3_600_000
const DEFAULT_CHECK_MS = 12 * HOUR_MS
const LONGEST_CHECK_MS = 168 * HOUR_MS

export function readSshRule({ shapes, aliases }: ReadContext, value: HuJson): SshRule | undefined {
  const { problems } = shapes
  const members = shapes.members(value, 'a rule of "ssh"', [
    'action',
    'src',
    'dst',
    'users',
    'checkPeriod',
    'acceptEnv',
  ])
  const action = members.action && shapes.text(members.action.value, '"action"')
  if (!members.action) problems.add(value.at, 'this rule has no "action"; write "accept" or "check"')
  else if (action && action.text !== 'accept' && action.text !== 'check')
    problems.add(action.at, `"${action.text}" is no action of SSH; write "accept" or "check"`)
  if (!members.src) problems.add(value.at, 'this rule has no "src": say who may log in')
  if (!members.dst) problems.add(value.at, 'this rule has no "dst": say where')
  const src = aliases.list(members.src, SSH_SOURCE)
  const dst = aliases.list(members.dst, SSH_DESTINATION)
  for (const alias of dst) {
    if (!src.some((one) => one.kind === 'tag' || isAutogroup(one, 'tagged'))) break
    if (alias.kind === 'user' || isAutogroup(alias, 'self', 'member'))
      problems.add(
        alias.at,
        `machines with tags cannot log in to those of people (${alias.text}); give this rule sources that are people`,
      )
  }
  for (const alias of dst)
    if (
      alias.kind === 'user' &&
      src.some((one) => one.kind !== 'user' || one.name.toLowerCase() !== alias.name.toLowerCase())
    )
      problems.add(
        alias.at,
        `into the machines of ${alias.name} only ${alias.name} can log in; make that the only source, or use autogroup:self`,
      )
  const users = shapes.texts(members.users).flatMap(({ text, at }) => {
    const login = parseLogin(text)
    if (!login)
      problems.add(at, `"${text}" is no login; write a name, root, autogroup:nonroot or localpart:*@example.org`)
    return login ?? []
  })
  if (shapes.items(members.users).length === 0)
    problems.add(
      members.users?.at ?? value.at,
      'this rule has no "users": say as whom, for instance ["autogroup:nonroot"]',
    )
  const acceptEnv = shapes.texts(members.acceptEnv).map(({ text, at }) => {
    if (text === '') problems.add(at, 'an entry of "acceptEnv" is a name of a variable, where * and ? may stand')
    return text
  })
  return {
    action: action?.text === 'check' ? 'check' : 'accept',
    src,
    dst,
    users,
    checkPeriodMs: readCheckPeriod(shapes, members.checkPeriod),
    acceptEnv,
  }
}

function parseLogin(text: string): SshLogin | undefined {
  if (text === 'root') return { kind: 'root' }
  if (text === 'autogroup:nonroot') return { kind: 'nonroot' }
  const domain = /^localpart:\*@([a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)*)$/.exec(text)?.[1]
  if (domain !== undefined) return { kind: 'localpart', domain }
  return /^[^\s:*@]+$/.test(text) ? { kind: 'name', name: text } : undefined
}

function readCheckPeriod(shapes: Shapes, member: HuMember | undefined): number {
  const period = member && shapes.text(member.value, '"checkPeriod"')
  if (!period) return DEFAULT_CHECK_MS
  if (period.text === 'always') return 0
  const match = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(period.text)
  const [hours, minutes, seconds] = [1, 2, 3].map((i) => Number(match?.[i] ?? 0))
  const ms = ((hours ?? 0) * 3_600 + (minutes ?? 0) * 60 + (seconds ?? 0)) * 1_000
  if (!match || ms <= 0 || ms > LONGEST_CHECK_MS)
    shapes.problems.add(period.at, `"${period.text}" is no period; write between 1s and 168h, as in 12h, or always`)
  return ms
}
