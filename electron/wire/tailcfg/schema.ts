// One description of each message gives its TypeScript type, its reader and its writer, with the rules of Go's
// encoding/json (control.md §0.3):
//
// - reading: member names match exactly, else without regard to case; unknown members are ignored; a member that is absent
//   or null has the zero value; a value of another type fails the whole message with a WireError that names the member
// - writing: `always` members are there even when zero, `omit` members (Go's omitempty) are not
// - `optional` members keep "absent" and "empty" apart (undefined and []), which map responses live by
//
// Dictionaries are Maps: their keys come from the network, and a Map has no __proto__.

import { CodedError, messageOf } from '../../base/errors.ts'
import { WireError } from '../codec.ts'
import { encodeJson, parseJson } from './json.ts'

/** How one kind of value is read and written. `In` may be laxer than `Out`: members of an In may be left out. */
export interface Shape<Out, In = Out> {
  /** Go's zero value: what an absent or null member means. */
  readonly zero: Out
  /** `raw` is what JSON held, never null or undefined. Throws CodedError. */
  read(raw: unknown): Out
  write(value: In): unknown
  /** Go's omitempty says so. */
  isEmpty(value: In): boolean
  /** What null means inside a list or dictionary; without it such an entry is dropped. */
  readonly ofNull?: () => Out
}

export interface Field<Out, In> {
  readonly name: string
  /** `raw` is undefined when the member is absent. */
  read(raw: unknown): Out
  /** Undefined leaves the member out. */
  write(value: In | undefined): unknown
}

type AnyField = Field<unknown, never>
type FieldOut<F> = F extends Field<infer Out, never> ? Out : never
type FieldIn<F> = F extends { write(value: infer In): unknown } ? In : never
export type StructOut<F> = { readonly [K in keyof F]: FieldOut<F[K]> }
export type StructIn<F> = { readonly [K in keyof F]?: FieldIn<F[K]> | undefined }

/** The type a shape reads. */
export type Out<S> = S extends Shape<infer O, never> ? O : never
/** The type a shape writes: like Out, where every member of a struct may be left out. */
export type In<S> = S extends { write(value: infer I): unknown } ? I : never

const isAbsent = (raw: unknown): raw is null | undefined => raw === undefined || raw === null

export function always<O, I>(name: string, shape: Shape<O, I>): Field<O, I> {
  return {
    name,
    read: (raw) => (isAbsent(raw) ? shape.zero : shape.read(raw)),
    write: (value) => shape.write(value === undefined ? (shape.zero as unknown as I) : value),
  }
}

export function omit<O, I>(name: string, shape: Shape<O, I>): Field<O, I> {
  return {
    name,
    read: (raw) => (isAbsent(raw) ? shape.zero : shape.read(raw)),
    write: (value) => (value === undefined || shape.isEmpty(value) ? undefined : shape.write(value)),
  }
}

export function optional<O, I>(name: string, shape: Shape<O, I>): Field<O | undefined, I | undefined> {
  return {
    name,
    read: (raw) => (isAbsent(raw) ? undefined : shape.read(raw)),
    write: (value) => (value === undefined ? undefined : shape.write(value)),
  }
}

export function struct<F extends Readonly<Record<string, AnyField>>>(fields: F): Shape<StructOut<F>, StructIn<F>> {
  const entries = Object.entries(fields)
  const keyOfName = new Map(entries.map(([key, field]) => [field.name, key]))
  const keyOfLowerName = new Map(entries.map(([key, field]) => [field.name.toLowerCase(), key]))
  const read = (raw: unknown): StructOut<F> => {
    if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) throw bad('expected an object')
    const members = new Map<string, unknown>()
    for (const [name, value] of Object.entries(raw)) {
      const exact = keyOfName.get(name)
      const key = exact ?? keyOfLowerName.get(name.toLowerCase())
      if (key !== undefined && (exact !== undefined || !members.has(key))) members.set(key, value)
    }
    const value: Record<string, unknown> = {}
    for (const [key, field] of entries) {
      try {
        value[key] = field.read(members.get(key))
      } catch (error) {
        throw inside(field.name, error)
      }
    }
    return value as StructOut<F>
  }
  return {
    get zero() {
      return read({})
    },
    read,
    write(value) {
      const object: Record<string, unknown> = {}
      for (const [key, field] of entries) {
        const member = field.write(value[key as keyof F])
        if (member !== undefined) object[field.name] = member
      }
      return object
    },
    isEmpty: () => false,
  }
}

export function list<O, I>(shape: Shape<O, I>): Shape<readonly O[], readonly I[]> {
  return listOf(shape, (index, error) => {
    throw inside(String(index), error)
  })
}

/**
 * A list whose unreadable entries are left out instead of failing the message: for addresses, where fewer is the safe side
 * and one odd entry (a zone, a form newer than us) must not cost the whole map.
 */
export function lenientList<O, I>(shape: Shape<O, I>): Shape<readonly O[], readonly I[]> {
  return listOf(shape, () => {})
}

function listOf<O, I>(
  shape: Shape<O, I>,
  onBad: (index: number, error: unknown) => void,
): Shape<readonly O[], readonly I[]> {
  return {
    zero: [],
    read(raw) {
      if (!Array.isArray(raw)) throw bad('expected a list')
      const values: O[] = []
      for (const [index, item] of (raw as unknown[]).entries()) {
        try {
          if (!isAbsent(item)) values.push(shape.read(item))
          else if (shape.ofNull) values.push(shape.ofNull())
        } catch (error) {
          onBad(index, error)
        }
      }
      return values
    },
    write: (values) => values.map((value) => shape.write(value)),
    isEmpty: (values) => values.length === 0,
  }
}

/** How a dictionary's keys are read from and written to member names; `read` gives undefined for a key to skip. */
export interface KeyShape<K> {
  read(name: string): K | undefined
  write(key: K): string
}

export const textKeys: KeyShape<string> = { read: (name) => name, write: (key) => key }

export const intKeys: KeyShape<number> = {
  read: (name) => (/^-?\d{1,15}$/.test(name) ? Number(name) : undefined),
  write: String,
}

export function dictionary<K, O, I>(
  keys: KeyShape<K>,
  shape: Shape<O, I>,
): Shape<ReadonlyMap<K, O>, ReadonlyMap<K, I>> {
  return {
    get zero() {
      return new Map<K, O>()
    },
    read(raw) {
      if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) throw bad('expected an object')
      const values = new Map<K, O>()
      for (const [name, item] of Object.entries(raw)) {
        const key = keys.read(name)
        if (key === undefined) throw bad(`"${name.slice(0, 40)}" is no key of this dictionary`)
        try {
          if (!isAbsent(item)) values.set(key, shape.read(item))
          else if (shape.ofNull) values.set(key, shape.ofNull())
        } catch (error) {
          throw inside(name, error)
        }
      }
      return values
    },
    write: (values) => Object.fromEntries([...values].map(([key, value]) => [keys.write(key), shape.write(value)])),
    isEmpty: (values) => values.size === 0,
  }
}

/** A value where null says something of its own; undefined in TypeScript. */
export function orNull<O, I>(shape: Shape<O, I>): Shape<O | undefined, I | undefined> {
  return {
    zero: undefined,
    read: (raw) => shape.read(raw),
    write: (value) => (value === undefined ? null : shape.write(value)),
    isEmpty: (value) => value === undefined,
    ofNull: () => undefined,
  }
}

/** A value for which null, in a list or dictionary, is the same as empty. */
export function nullIsZero<O, I>(shape: Shape<O, I>): Shape<O, I> {
  return {
    get zero() {
      return shape.zero
    },
    read: (raw) => shape.read(raw),
    write: (value) => shape.write(value),
    isEmpty: (value) => shape.isEmpty(value),
    ofNull: () => shape.zero,
  }
}

/** A whole message from its bytes. Throws WireError. */
export function parseMessage<O, I>(shape: Shape<O, I>, bytes: Uint8Array): O {
  return readMessage(shape, parseJson(bytes))
}

/** A whole message from parsed JSON. Throws WireError. */
export function readMessage<O, I>(shape: Shape<O, I>, raw: unknown): O {
  if (isAbsent(raw)) throw bad('expected an object')
  return shape.read(raw)
}

export function encodeMessage<O, I>(shape: Shape<O, I>, value: I): Uint8Array {
  return encodeJson(shape.write(value))
}

export function bad(message: string): WireError {
  return new WireError('wire/bad-value', message)
}

function inside(name: string, error: unknown): unknown {
  if (!(error instanceof CodedError)) return error
  return new WireError(error instanceof WireError ? error.code : 'wire/bad-value', `${name}: ${messageOf(error)}`)
}
