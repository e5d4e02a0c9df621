// Reads HuJSON values of an expected shape; what does not fit is reported at its place and left out.

import type { HuJson, HuMember, Offset } from './hujson.ts'
import type { Problems } from './problem.ts'

type Kind = HuJson['kind']

const KIND_NAMES: Readonly<Record<Kind, string>> = {
  object: 'an object { … }',
  array: 'a list [ … ]',
  string: 'a text "…"',
  number: 'a number',
  boolean: 'true or false',
  null: 'null',
}

function wrongKind(value: HuJson, wanted: Kind, what: string): string {
  return `${what} is ${KIND_NAMES[wanted]}, not ${KIND_NAMES[value.kind]}`
}

export interface Text {
  readonly text: string
  readonly at: Offset
}

export class Shapes {
  readonly problems: Problems

  constructor(problems: Problems) {
    this.problems = problems
  }

  /**
   * Members by their name in `names`, whatever case they are written in. Others are reported: a misspelt member that is
   * passed over would open or close doors silently. `null` is as if the member were not there.
   */
  members<N extends string>(value: HuJson, what: string, names: readonly N[]): Partial<Record<N, HuMember>> {
    const found: Partial<Record<N, HuMember>> = {}
    for (const member of this.entries(value, what)) {
      const name = names.find((one) => one.toLowerCase() === member.name.toLowerCase())
      if (name === undefined)
        this.problems.add(member.at, `${what} has no member "${member.name}"; it may have ${names.join(', ')}`)
      else if (found[name]) this.problems.add(member.at, `"${name}" stands twice; keep one`)
      else if (member.value.kind !== 'null') found[name] = member
    }
    return found
  }

  entries(value: HuJson, what: string): readonly HuMember[] {
    if (value.kind === 'object') return value.members
    this.problems.add(value.at, wrongKind(value, 'object', what))
    return []
  }

  /** Of a member that may be missing: then there is nothing. */
  items(member: HuMember | undefined, what = `"${member?.name ?? ''}"`): readonly HuJson[] {
    if (!member) return []
    if (member.value.kind === 'array') return member.value.items
    this.problems.add(member.value.at, wrongKind(member.value, 'array', what))
    return []
  }

  text(value: HuJson, what: string): Text | undefined {
    if (value.kind === 'string') return { text: value.value, at: value.at }
    this.problems.add(value.at, wrongKind(value, 'string', what))
    return undefined
  }

  texts(member: HuMember | undefined): Text[] {
    return this.items(member).flatMap((item) => this.text(item, `an entry of "${member?.name ?? ''}"`) ?? [])
  }

  flag(member: HuMember | undefined): boolean {
    if (!member) return false
    if (member.value.kind === 'boolean') return member.value.value
    this.problems.add(member.value.at, wrongKind(member.value, 'boolean', `"${member.name}"`))
    return false
  }
}
