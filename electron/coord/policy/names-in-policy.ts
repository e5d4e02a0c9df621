// The names a policy defines and refers to: a reference to what is not defined is a mistake, most often of typing.

import { isAutogroup, isProviderGroup, parseAlias } from './alias.ts'
import type { Alias, Autogroup, PortRange } from './document.ts'
import type { HuMember, Offset } from './hujson.ts'
import type { IpSet } from './ip-set.ts'
import { parsePorts, PORTS_HELP } from './protocols.ts'
import type { Shapes, Text } from './shape.ts'

export interface Defined {
  readonly groups: ReadonlySet<string>
  readonly tags: ReadonlySet<string>
  readonly hosts: ReadonlyMap<string, IpSet>
}

/** Which kinds of alias a place takes. */
export interface Place {
  readonly name: string
  readonly kinds: readonly Alias['kind'][]
  readonly autogroups: readonly Autogroup[]
}

const PEOPLE: readonly Autogroup[] = ['member', 'tagged', 'owner', 'admin', 'auditor']
const EVERY_KIND: readonly Alias['kind'][] = ['all', 'prefix', 'user', 'group', 'tag', 'host', 'autogroup']

export const SOURCE: Place = { name: 'a source', kinds: EVERY_KIND, autogroups: [...PEOPLE, 'danger-all'] }
export const DESTINATION: Place = {
  name: 'a destination',
  kinds: EVERY_KIND,
  autogroups: [...PEOPLE, 'internet', 'self'],
}
export const TARGET: Place = { name: 'a target', kinds: EVERY_KIND, autogroups: PEOPLE }
export const OWNER: Place = { name: 'an owner', kinds: ['user', 'group', 'tag', 'autogroup'], autogroups: PEOPLE }
export const SSH_SOURCE: Place = {
  name: 'a source of SSH',
  kinds: ['user', 'group', 'tag', 'autogroup'],
  autogroups: PEOPLE,
}
export const SSH_DESTINATION: Place = {
  name: 'a destination of SSH',
  kinds: ['user', 'tag', 'autogroup'],
  autogroups: ['member', 'tagged', 'self'],
}
export const TEST_SOURCE: Place = { ...SOURCE, name: 'the source of a test', autogroups: PEOPLE }
export const SSH_TEST_DESTINATION: Place = {
  name: 'a destination of an SSH test',
  kinds: ['user', 'tag', 'host', 'prefix', 'autogroup'],
  autogroups: ['member', 'tagged'],
}

const KIND_WORDS: Readonly<Record<Alias['kind'], string>> = {
  all: '*',
  prefix: 'addresses',
  user: 'users',
  group: 'groups',
  tag: 'tags',
  host: 'hosts',
  autogroup: 'autogroups',
}

export class AliasReader {
  readonly #shapes: Shapes
  readonly #defined: Defined

  constructor(shapes: Shapes, defined: Defined) {
    this.#shapes = shapes
    this.#defined = defined
  }

  list(member: HuMember | undefined, place: Place): Alias[] {
    return this.#shapes.texts(member).flatMap((text) => this.one(text, place) ?? [])
  }

  one({ text, at }: Text, place: Place): Alias | undefined {
    const alias = parseAlias(text, at)
    const problem = typeof alias === 'string' ? alias : this.#problem(alias, place)
    if (problem === undefined) return typeof alias === 'string' ? undefined : alias
    this.#shapes.problems.add(at, problem)
    return undefined
  }

  /** "alias:ports"; the last colon divides, since IPv6 addresses have colons too. */
  withPorts(
    { text, at }: Text,
    place: Place,
  ): { readonly alias: Alias; readonly ports: readonly PortRange[] } | undefined {
    const colon = text.lastIndexOf(':')
    const ports = colon < 0 ? undefined : parsePorts(text.slice(colon + 1))
    if (!ports) {
      const why =
        colon < 0 || parsesWhole(text, at) ? `"${text}" lacks its ports` : `"${text.slice(colon + 1)}" is no port`
      this.#shapes.problems.add(
        at,
        `${why}; write as in ${colon < 0 || parsesWhole(text, at) ? text : text.slice(0, colon)}:443 (${PORTS_HELP})`,
      )
      return undefined
    }
    const alias = this.one({ text: text.slice(0, colon), at }, place)
    return alias && { alias, ports }
  }

  requireTag(tag: string, at: Offset): void {
    if (!this.#defined.tags.has(tag))
      this.#shapes.problems.add(at, `${tag} has no owner; add it to "tagOwners", as "${tag}": []`)
  }

  #problem(alias: Alias, place: Place): string | undefined {
    if (!place.kinds.includes(alias.kind) || (alias.kind === 'autogroup' && !isAutogroup(alias, ...place.autogroups)))
      return `${alias.text} cannot be ${place.name}; ${takes(place)}`
    if (alias.kind === 'group' && !this.#defined.groups.has(alias.name) && !isProviderGroup(alias.name))
      return `${alias.name} is not defined; add it to "groups", as "${alias.name}": ["anna@example.org"]`
    if (alias.kind === 'host' && !this.#defined.hosts.has(alias.name))
      return `there is no host "${alias.name}"; add it to "hosts", or write ${alias.name}@ if it is a user`
    if (alias.kind === 'tag' && !this.#defined.tags.has(alias.name))
      return `${alias.name} has no owner; add it to "tagOwners", as "${alias.name}": []`
    return undefined
  }
}

function takes(place: Place): string {
  const kinds = place.kinds.filter((kind) => kind !== 'autogroup').map((kind) => KIND_WORDS[kind])
  return `it takes ${[...kinds, ...place.autogroups.map((name) => `autogroup:${name}`)].join(', ')}`
}

const parsesWhole = (text: string, at: Offset): boolean =>
  typeof parseAlias(text, at) !== 'string' && text.includes(':')
