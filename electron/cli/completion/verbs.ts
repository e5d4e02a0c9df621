// What can be completed, read off the table of commands: words, options, and what follows them. Pure.

import type { Command } from '../command.ts'

export type Value =
  | { readonly kind: 'none' }
  | { readonly kind: 'file' }
  | { readonly kind: 'words'; readonly of: readonly string[] }

export interface Option {
  readonly name: string
  readonly text: string
  /** Undefined for a switch, after which nothing stands. */
  readonly value: Value | undefined
}

export interface Verb {
  /** "coord nodes list" */
  readonly name: string
  readonly options: readonly Option[]
  readonly argument: Value
}

/** What may follow some words: the next of a verb, or the last. */
export interface Next {
  readonly word: string
  readonly text: string
}

export interface Verbs {
  readonly verbs: readonly Verb[]
  /** By the words before; those of a beginning that is no verb of its own too. */
  readonly next: ReadonlyMap<string, readonly Next[]>
}

const WORD = /^[a-z0-9][a-z0-9-]*$/
const FILE = /\b(FILE|PATH|DIR|CERT)\b/

/** `families` tells what words are for that only begin verbs. */
export function verbsOf(commands: readonly Command[], families: ReadonlyMap<string, string>): Verbs {
  const next = new Map<string, Next[]>()
  for (const { name, summary } of commands) {
    const words = name.split(' ')
    for (const [i, word] of words.entries()) {
      // Each goes into a script as it is.
      if (!WORD.test(word)) throw new TypeError(`"${word}" is no word of a command`)
      const before = words.slice(0, i).join(' ')
      const here = next.get(before) ?? []
      next.set(before, here)
      if (here.some((one) => one.word === word)) continue
      const text = i === words.length - 1 ? summary : (families.get(words.slice(0, i + 1).join(' ')) ?? '')
      here.push({ word, text })
    }
  }
  const verbs = commands.map(verbOf)
  return { verbs: [...verbs, ...beginnings(verbs, next)], next }
}

/** Options may stand before the last word of a verb too. */
function beginnings(verbs: readonly Verb[], next: ReadonlyMap<string, unknown>): Verb[] {
  const names = [...next.keys()].filter((name) => name !== '' && !verbs.some((verb) => verb.name === name))
  return names.map((name) => {
    const inside = verbs.filter((verb) => verb.name.startsWith(`${name} `)).flatMap(({ options }) => options)
    return { name, options: [...new Map(inside.map((one) => [one.name, one])).values()], argument: { kind: 'none' } }
  })
}

function verbOf(command: Command): Verb {
  const { name, options, help, usage } = command
  const all = Object.entries({ ...options, help: { type: 'boolean' as const } })
  return {
    name,
    options: all.map(([option, { type }]) => {
      const [said = '', text = ''] = (help[option] ?? '').split(/ {2,}(.*)/s)
      const shown = said.startsWith(`--${option} `) ? said.slice(option.length + 3) : ''
      const about = option === 'help' ? 'how it is used' : text || said.replace(/^--\S+ /, '')
      return { name: option, text: about, value: type === 'boolean' ? undefined : valueOf(shown) }
    }),
    argument: argumentOf(usage[0] ?? '', name),
  }
}

/** From how help writes it: FILE, DIR, or words to choose from. */
function valueOf(shown: string): Value {
  const of = shown.split('|').filter((word) => WORD.test(word))
  if (shown.includes('|') && of.length > 0) return { kind: 'words', of }
  return FILE.test(shown) ? { kind: 'file' } : { kind: 'none' }
}

/** The first argument that is not an option's. */
function argumentOf(usage: string, name: string): Value {
  const rest = usage.startsWith(name) ? usage.slice(name.length) : usage
  const [shown = ''] = rest.replaceAll(/\[?--[a-z0-9-]+( [^[\] ]+)?\]?/g, '').match(/[^\s[\]()…]+/) ?? []
  return valueOf(shown)
}
