// For tests: bodies that no client of ours sends, made of one that it does; the same ones for the same seed.

import { utf8 } from '../../base/bytes.ts'

export interface Hostile {
  readonly what: string
  readonly bytes: Uint8Array
}

/** Mulberry32: from a seed, numbers from 0 to below 1. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export const pick = <T>(random: () => number, of: readonly T[]): T => of[Math.floor(random() * of.length)] as T

const raw = (what: string, text: string): Hostile => ({ what, bytes: utf8(text) })

/** As JSON text, since not all of them are values. */
const ODD_VALUES: readonly string[] = [
  'null',
  'true',
  '0',
  '-1',
  '1.5',
  '1e999999',
  '-1e308',
  '9007199254740993',
  '123456789012345678901234567890',
  '""',
  '" "',
  '"\\u0000"',
  '"\\ud800"',
  '"\\udc00\\ud800"',
  '"a\\u0000b"',
  '"\\u202e\\u2066name\\n\\r\\t"',
  '"__proto__"',
  '"constructor"',
  '"..%2f..%2f"',
  '"\';DROP TABLE users;--"',
  `"${'A'.repeat(40_000)}"`,
  `"${'\u{1F600}'.repeat(600)}"`,
  '[]',
  '[null]',
  '[[],{},"x",1]',
  `[${'0,'.repeat(5_000)}0]`,
  '{}',
  '{"__proto__":{"isAdmin":true}}',
  '{"length":1e9,"0":"x"}',
  '{"toString":1,"valueOf":2,"toJSON":3}',
]

/** Whatever the endpoint wants. The deep ones are past what a reader without a bound can bear. */
const ANYWHERE: readonly Hostile[] = [
  raw('nothing', ''),
  raw('null', 'null'),
  raw('a number', '7'),
  raw('text', '"text"'),
  raw('a list', '[]'),
  raw('an empty object', '{}'),
  raw('half an object', '{"'),
  raw('two values', '{}{}'),
  raw('deep lists', '['.repeat(30_000)),
  raw('deep lists, closed', `${'['.repeat(15_000)}${']'.repeat(15_000)}`),
  raw('deep objects', `${'{"a":'.repeat(4_000)}1${'}'.repeat(4_000)}`),
  raw('many members', `{${Array.from({ length: 3_000 }, (_, i) => `"m${i}":1`).join(',')}}`),
  raw('the same member twice', '{"name":"a","name":{"b":1},"NodeKey":1,"nodekey":2}'),
  raw('prototype names', '{"__proto__":{"name":"x","role":"owner"},"constructor":{"prototype":{}},"hasOwnProperty":1}'),
  raw('a mark before', '\ufeff{}'),
  {
    what: 'bytes of no text',
    bytes: Uint8Array.of(0x7b, 0x22, 0xff, 0xfe, 0xc0, 0x80, 0xed, 0xa0, 0x80, 0x22, 0x3a, 0x31, 0x7d),
  },
  { what: 'compressed', bytes: Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x00, 0x01, 0x00, 0x00) },
]

/** `count` bodies; half of them are `sample` with something wrong. */
export function hostileBodies(sample: unknown, random: () => number, count: number): Hostile[] {
  const text = JSON.stringify(sample) ?? '{}'
  return Array.from({ length: count }, (_, i) => (i % 3 === 0 ? pick(random, ANYWHERE) : damaged(sample, text, random)))
}

function damaged(sample: unknown, text: string, random: () => number): Hostile {
  const bytes = utf8(text)
  switch (Math.floor(random() * 8)) {
    case 0:
      return { what: 'cut short', bytes: bytes.slice(0, Math.floor(random() * bytes.length)) }
    case 1: {
      const flipped = bytes.slice()
      for (let i = 0; i < 3 && flipped.length > 0; i++)
        flipped[Math.floor(random() * flipped.length)] = Math.floor(random() * 256)
      return { what: 'bytes changed', bytes: flipped }
    }
    case 2:
      return raw(
        'a member more',
        text.replace('{', `{"${pick(random, ['__proto__', 'constructor', 'isAdmin', ''])}":{},`),
      )
    case 3: {
      const strings = placesIn(sample).filter((place) => typeof valueAt(sample, place) === 'string')
      if (strings.length === 0) return raw('a list around', `[${text}]`)
      const place = pick(random, strings)
      const letters = Array.from(String(valueAt(sample, place)))
      for (let i = 0; i < 2 && letters.length > 0; i++)
        letters[Math.floor(random() * letters.length)] = pick(random, ['A', 'z', '_', '9'])
      return raw(`${place.join('.')}: letters changed`, JSON.stringify(replaced(sample, place, letters.join(''))))
    }
    default: {
      const places = placesIn(sample)
      if (places.length === 0) return raw('an odd value', pick(random, ODD_VALUES))
      const place = pick(random, places)
      const odd = pick(random, ODD_VALUES)
      // A mark that stands nowhere else, since not every odd value can be held by one of JavaScript's.
      const marked = JSON.stringify(replaced(sample, place, '\u0001here\u0001'))
      return raw(
        `${place.join('.')} = ${odd.slice(0, 30)}`,
        marked.replace('"\\u0001here\\u0001"', () => odd),
      )
    }
  }
}

type Place = readonly (string | number)[]

function placesIn(value: unknown, at: Place = []): Place[] {
  if (typeof value !== 'object' || value === null) return at.length > 0 ? [at] : []
  const inside = Object.entries(value).flatMap(([name, member]) => placesIn(member, [...at, name]))
  return at.length > 0 ? [at, ...inside] : inside
}

const valueAt = (value: unknown, place: Place): unknown =>
  place.reduce((inside: unknown, name) => (inside as Record<string, unknown> | undefined)?.[name], value)

function replaced(value: unknown, [first, ...rest]: Place, by: unknown): unknown {
  if (first === undefined) return by
  if (Array.isArray(value))
    return value.map((item: unknown, i) => (String(i) === first ? replaced(item, rest, by) : item))
  const members = Object.entries(value as Record<string, unknown>)
  return Object.fromEntries(members.map(([name, item]) => [name, name === first ? replaced(item, rest, by) : item]))
}
