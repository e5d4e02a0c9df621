// As much of another server's policy as this one can keep. What it cannot is left out by whole entries: a rule that lost a
// condition would open more than it did, and one that is gone opens less. Pure.

import { type HuJson, type HuMember, parseHuJson } from '../policy/hujson.ts'
import { PolicyError, type PolicyProblem, problemText } from '../policy/problem.ts'
import { readPolicy } from '../policy/read-policy.ts'

/** Each finds up to twenty problems. */
const MOST_ROUNDS = 500
/** Without them everything is open, so an entry may go, but not the list. */
const GATES: readonly string[] = ['acls', 'grants']
/** Lists and dictionaries in which one entry can do without the others. */
const BY_ENTRY: readonly string[] = [
  'acls',
  'grants',
  'groups',
  'hosts',
  'nodeattrs',
  'ssh',
  'sshtests',
  'tagowners',
  'tests',
]

export interface CarriedPolicy {
  /** Undefined when nothing can be kept without opening doors. Lines are those of the original. */
  readonly text: string | undefined
  readonly remarks: readonly string[]
}

interface Unit {
  readonly at: number
  readonly end: number
  readonly what: string
}

export function carryPolicy(original: string): CarriedPolicy {
  const remarks: string[] = []
  let text = original
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const problems = problemsOf(text)
    if (problems.length === 0) return { text: text === original ? original : tidied(original, text), remarks }
    const document = documentOf(text)
    const cuts: Unit[] = []
    for (const problem of problems) {
      const at = offsetOf(text, problem)
      if (cuts.some((cut) => cut.at <= at && at < cut.end)) continue
      const unit = document && unitAt(text, document, at)
      if (!unit) return { text: undefined, remarks: [...remarks, `Policy, ${problemText(problem)}.`] }
      cuts.push(unit)
      const hint = unit.what === '"derpMap"' ? ' Put it in a file of its own, for peerway coord derp-map set.' : ''
      remarks.push(`Policy, ${problemText(problem)}. Left out: ${unit.what}.${hint}`)
    }
    for (const { at, end } of cuts) text = text.slice(0, at) + blank(text.slice(at, end)) + text.slice(end)
  }
  return { text: undefined, remarks: [...remarks, 'Policy: too much of it cannot be carried over.'] }
}

/** The same for a policy that may be none; one of which nothing can be kept stays, for whoever takes it to refuse. */
export function keptPolicy(original: string | undefined): CarriedPolicy {
  if (original === undefined) return { text: undefined, remarks: [] }
  const carried = carryPolicy(original)
  return carried.text === undefined ? { text: original, remarks: [] } : carried
}

function problemsOf(text: string): readonly PolicyProblem[] {
  try {
    readPolicy(text)
    return []
  } catch (error) {
    if (error instanceof PolicyError) return error.problems
    throw error
  }
}

function documentOf(text: string): readonly HuMember[] | undefined {
  try {
    const document = parseHuJson(text)
    return document.kind === 'object' ? document.members : undefined
  } catch {
    return undefined
  }
}

/** The smallest part around a place that may go. */
function unitAt(text: string, document: readonly HuMember[], at: number): Unit | undefined {
  const member = around(document, at)
  if (!member) return undefined
  const name = member.name.toLowerCase()
  const isInside = at > member.value.at
  if (isInside && name === 'autoapprovers') return inApprovers(text, member, at)
  if (isInside && BY_ENTRY.includes(name)) {
    const { value } = member
    const entry = value.kind === 'array' ? around(value.items, at) : around(membersOf(value), at)
    if (!entry) return undefined
    if (!('name' in entry)) return unit(text, entry.at, `this entry of "${member.name}"`)
    const item = entry.value.kind === 'array' && at > entry.value.at ? around(entry.value.items, at) : undefined
    return item ? unit(text, item.at, `this of "${entry.name}"`) : unit(text, entry.at, `"${entry.name}"`)
  }
  if (GATES.includes(name)) return undefined
  return unit(text, member.at, `"${member.name}"`)
}

function inApprovers(text: string, approvers: HuMember, at: number): Unit | undefined {
  const part = around(membersOf(approvers.value), at)
  if (!part) return undefined
  const entry = at > part.value.at ? around(membersOf(part.value), at) : undefined
  return unit(text, (entry ?? part).at, `"${(entry ?? part).name}"`)
}

const membersOf = (value: HuJson): readonly HuMember[] => (value.kind === 'object' ? value.members : [])

function around<T extends { readonly at: number }>(all: readonly T[], at: number): T | undefined {
  return all.findLast((one) => one.at <= at)
}

function unit(text: string, at: number, what: string): Unit {
  let end = endOfValue(text, at)
  const colon = pastSpace(text, end)
  // A name, of which the value is part.
  if (text[at] === '"' && text[colon] === ':') end = endOfValue(text, pastSpace(text, colon + 1))
  const comma = pastSpace(text, end)
  return { at, end: text[comma] === ',' ? comma + 1 : end, what }
}

function endOfValue(text: string, at: number): number {
  let depth = 0
  for (let i = at; i < text.length;) {
    const past = pastSpace(text, i)
    if (past > i) {
      if (depth === 0) return i
      i = past
      continue
    }
    const letter = text[i] ?? ''
    if (letter === '"') {
      for (i++; i < text.length && text[i] !== '"'; i++) if (text[i] === '\\') i++
      i++
      if (depth === 0) return i
    } else if ('[{'.includes(letter)) {
      depth++
      i++
    } else if (']}'.includes(letter)) {
      if (depth === 0) return i
      depth--
      i++
      if (depth === 0) return i
    } else if (depth === 0 && (letter === ',' || letter === ':')) return i
    else i++
  }
  return text.length
}

/** Comments count as space. */
function pastSpace(text: string, from: number): number {
  let at = from
  for (;;) {
    while (at < text.length && ' \t\r\n'.includes(text[at] ?? '')) at++
    const ahead = text.slice(at, at + 2)
    if (ahead !== '//' && ahead !== '/*') return at
    const end = ahead === '//' ? text.indexOf('\n', at) : text.indexOf('*/', at + 2) + 1
    if (end <= 0) return text.length
    at = end + 1
  }
}

function offsetOf(text: string, { line, column }: PolicyProblem): number {
  let start = 0
  for (let n = 1; n < line; n++) start = text.indexOf('\n', start) + 1
  return start + column - 1
}

const blank = (text: string): string => text.replaceAll(/[^\n]/g, ' ')

/** Without the lines on which nothing is left. */
function tidied(original: string, text: string): string {
  const before = original.split('\n')
  return text
    .split('\n')
    .filter((line, i) => line.trim() !== '' || before[i]?.trim() === '')
    .map((line) => line.trimEnd())
    .join('\n')
}
