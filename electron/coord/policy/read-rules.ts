// The members `acls` and `grants`.

import type { AclRule, Alias, Grant, IpSpec } from './document.ts'
import { type HuJson, type HuMember, plainJson } from './hujson.ts'
import { EVERYTHING, type IpSet } from './ip-set.ts'
import { type AliasReader, DESTINATION, SOURCE } from './names-in-policy.ts'
import { isAllPorts, parseIpSpec, parseProtocol, PROTOCOL_HELP, takesPorts } from './protocols.ts'
import type { Shapes } from './shape.ts'
import { isAutogroup } from './alias.ts'

export interface ReadContext {
  readonly shapes: Shapes
  readonly aliases: AliasReader
}

export function readAcl({ shapes, aliases }: ReadContext, value: HuJson): AclRule | undefined {
  const { problems } = shapes
  const members = shapes.members(value, 'a rule of "acls"', ['action', 'proto', 'src', 'dst'])
  const action = members.action && shapes.text(members.action.value, '"action"')
  if (!members.action) problems.add(value.at, 'this rule has no "action"; write "action": "accept"')
  else if (action && action.text !== 'accept')
    problems.add(action.at, `there is only the action "accept": whatever no rule accepts is denied`)
  requireEnds(shapes, value, members.src, members.dst)
  const protocols = readProtocol(shapes, members.proto)
  const src = aliases.list(members.src, SOURCE)
  const dst = shapes.texts(members.dst).flatMap((text) => {
    const one = aliases.withPorts(text, DESTINATION)
    if (one && !takesPorts(protocols) && !isAllPorts(one.ports)) {
      problems.add(text.at, `this protocol has no ports; write ${one.alias.text}:*`)
      return []
    }
    return one ?? []
  })
  checkEnds(
    shapes,
    src,
    dst.map(({ alias }) => alias),
    'acl',
  )
  return { protocols, src, dst }
}

export function readProtocol(shapes: Shapes, member: HuMember | undefined): readonly number[] {
  const proto = member && shapes.text(member.value, '"proto"')
  if (!proto) return []
  const found = parseProtocol(proto.text)
  if (!found)
    shapes.problems.add(
      proto.at,
      `"${proto.text}" is no protocol; ${PROTOCOL_HELP}${proto.text === '*' ? ', or leave "proto" out' : ''}`,
    )
  return found ?? []
}

export function readGrant({ shapes, aliases }: ReadContext, value: HuJson): Grant | undefined {
  const { problems } = shapes
  const members = shapes.members(value, 'a grant', ['src', 'dst', 'ip', 'app', 'via'])
  requireEnds(shapes, value, members.src, members.dst)
  const src = aliases.list(members.src, SOURCE)
  const dst = aliases.list(members.dst, DESTINATION)
  const ip: IpSpec[] = []
  for (const { text, at } of shapes.texts(members.ip)) {
    const spec = parseIpSpec(text)
    if (typeof spec === 'string') problems.add(at, spec)
    else ip.push(spec)
  }
  const app = readApp(shapes, members.app, dst)
  if (shapes.items(members.ip).length === 0 && app.size === 0 && appIsEmpty(members.app))
    problems.add(value.at, 'this grant gives nothing; add "ip": ["*"] for packets or "app" for capabilities')
  const via: string[] = []
  for (const { text, at } of shapes.texts(members.via)) {
    if (!text.startsWith('tag:')) problems.add(at, `"via" takes tags of routers, not "${text}"`)
    else aliases.requireTag(text, at)
    via.push(text)
  }
  if (via.length > 0 && app.size > 0)
    problems.add(members.via?.at ?? value.at, 'a grant with "app" cannot have "via"; make two of it')
  for (const alias of dst)
    if (alias.kind === 'prefix' && isWholeFamily(alias.set))
      problems.add(alias.at, `for all addresses write "*" (the network) or "autogroup:internet", not ${alias.text}`)
  checkEnds(shapes, src, dst, 'grant')
  return { src, dst, ip, app, via }
}

const isWholeFamily = (set: IpSet): boolean =>
  EVERYTHING.ranges.some((all) =>
    set.ranges.some(({ family, from, to }) => family === all.family && from === all.from && to === all.to),
  )

const appIsEmpty = (app: HuMember | undefined): boolean =>
  app === undefined || (app.value.kind === 'object' && app.value.members.length === 0)

function requireEnds(shapes: Shapes, value: HuJson, src: HuMember | undefined, dst: HuMember | undefined): void {
  if (value.kind !== 'object') return
  if (!src) shapes.problems.add(value.at, 'this rule has no "src": say who may')
  if (!dst) shapes.problems.add(value.at, 'this rule has no "dst": say what they may reach')
}

/** autogroup:self means "one's own machines": only people have those. In acls `*` counts as people too. */
function checkEnds(shapes: Shapes, src: readonly Alias[], dst: readonly Alias[], kind: 'acl' | 'grant'): void {
  const self = dst.find((alias) => isAutogroup(alias, 'self'))
  if (!self) return
  const odd = src.find(
    (alias) =>
      !['user', 'group'].includes(alias.kind) &&
      !isAutogroup(alias, 'member', 'owner', 'admin', 'auditor') &&
      !(alias.kind === 'all' && kind === 'acl'),
  )
  if (odd)
    shapes.problems.add(odd.at, `with autogroup:self sources are users, groups or autogroup:member, not ${odd.text}`)
}

/** Capabilities of the reserved domain that policies may grant: control.md §9.3. */
const GRANTABLE = ['drive', 'relay', 'webui', 'kubernetes', 'tsidp', 'secrets'].map(
  (name) => `tailscale.com/cap/${name}`,
)

function readApp(
  shapes: Shapes,
  member: HuMember | undefined,
  dst: readonly Alias[],
): ReadonlyMap<string, readonly unknown[]> {
  const app = new Map<string, readonly unknown[]>()
  for (const capability of member ? shapes.entries(member.value, '"app"') : []) {
    const { name, at, value } = capability
    if (!/^[a-zA-Z0-9][a-zA-Z0-9.-]*\.[a-zA-Z0-9-]+\/\S+$/.test(name))
      shapes.problems.add(at, `"${name}" is no capability; write a domain and a path, as in example.com/cap/print`)
    else if (/^tailscale\.com\//i.test(name) && !GRANTABLE.includes(name))
      shapes.problems.add(
        at,
        `${name} cannot be granted; of tailscale.com there are ${GRANTABLE.map((one) => one.slice(14)).join(', ')}`,
      )
    if (value.kind === 'null') app.set(name, [])
    else app.set(name, shapes.items(capability).map(plainJson))
  }
  const internet = dst.find((alias) => isAutogroup(alias, 'internet'))
  if (internet && app.size > 0)
    shapes.problems.add(
      internet.at,
      'machines of the internet take no capabilities; give autogroup:internet an "ip" grant of its own',
    )
  return app
}
