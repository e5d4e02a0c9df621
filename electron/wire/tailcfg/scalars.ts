import {
  bytesToIp,
  canonicalEndpoint,
  canonicalIp,
  type Endpoint,
  type IpAddress,
  parsePrefix,
} from '../../base/endpoint.ts'
import { DiscoPublic, MachinePublic, NodePublic } from '../../crypto/keys.ts'
import { bad, type KeyShape, type Shape } from './schema.ts'

/** A 64-bit integer as its decimal text ("42"), because a double would round some of them. "0" means none. */
export type Id = string
export type NodeId = Id
export type UserId = Id
/** Milliseconds since the epoch. */
export type WallMs = number
/** A canonical "address/bits". */
export type Prefix = string

/** "0001-01-01T00:00:00Z": Go's zero time, which means "none". */
const ZERO_TIME = '0001-01-01T00:00:00Z'
const ZERO_TIME_MS = -62_135_596_800_000

export const bool: Shape<boolean> = {
  zero: false,
  read(raw) {
    if (typeof raw !== 'boolean') throw bad('expected true or false')
    return raw
  },
  write: (value) => value,
  isEmpty: (value) => !value,
}

export const text: Shape<string> = {
  zero: '',
  read(raw) {
    if (typeof raw !== 'string') throw bad('expected a text')
    return raw
  },
  write: (value) => value,
  isEmpty: (value) => value === '',
}

/** An integer that is no ID: beyond 2^53 it is rounded. */
export const int: Shape<number> = {
  zero: 0,
  read(raw) {
    if (typeof raw === 'number' && Number.isInteger(raw)) return raw
    if (typeof raw === 'string' && /^-?\d{16,19}$/.test(raw)) return Number(raw)
    throw bad('expected an integer')
  },
  write: (value) => value,
  isEmpty: (value) => value === 0,
}

export const float: Shape<number> = {
  zero: 0,
  read(raw) {
    if (typeof raw === 'number') return raw
    if (typeof raw === 'string' && /^-?\d{16,}$/.test(raw)) return Number(raw)
    throw bad('expected a number')
  },
  write: (value) => value,
  isEmpty: (value) => value === 0,
}

function readId(raw: unknown): Id {
  if (typeof raw === 'number' && Number.isSafeInteger(raw)) return String(raw)
  if (typeof raw === 'string' && /^-?[1-9]\d{0,18}$/.test(raw)) return raw
  throw bad('expected an ID, which is an integer')
}

/** IDs that we write must be below 2^53: those are all a server may give out today. */
export const id: Shape<Id> = {
  zero: '0',
  read: readId,
  write(value) {
    const number = Number(value)
    if (!Number.isSafeInteger(number) || String(number) !== value)
      throw new RangeError(`${value} is no ID we may write`)
    return number
  },
  isEmpty: (value) => value === '0',
}

export const idKeys: KeyShape<Id> = {
  read: (name) => (/^-?\d{1,19}$/.test(name) ? String(BigInt(name)) : undefined),
  write: (key) => key,
}

/** Numeric order, the convention for lists of nodes. */
export function compareIds(a: Id, b: Id): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0)
}

const TIME = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9})\d*)?(?:[Zz]|([+-])(\d\d):(\d\d))$/

/** RFC 3339; Go's zero time is undefined. Below a millisecond is cut off. */
export const time: Shape<WallMs | undefined> = {
  zero: undefined,
  read(raw) {
    if (typeof raw !== 'string') throw bad('expected a time')
    const ms = parseTime(raw)
    if (ms === undefined) throw bad('expected a time as in RFC 3339')
    return ms === ZERO_TIME_MS ? undefined : ms
  },
  write: (value) => (value === undefined ? ZERO_TIME : new Date(value).toISOString().replace('.000Z', 'Z')),
  isEmpty: (value) => value === undefined,
}

/** A time in a patch, where undefined means unchanged and the zero time means that there is none any more. */
export const timeOrNever: Shape<WallMs | 'never'> = {
  zero: 'never',
  read: (raw) => time.read(raw) ?? 'never',
  write: (value) => time.write(value === 'never' ? undefined : value),
  isEmpty: () => false,
}

function parseTime(raw: string): WallMs | undefined {
  const match = TIME.exec(raw)
  if (!match) return undefined
  const part = (index: number): number => Number(match[index] ?? 0)
  const date = new Date(0)
  date.setUTCFullYear(part(1), part(2) - 1, part(3))
  if (date.getUTCMonth() !== part(2) - 1 || date.getUTCDate() !== part(3)) return undefined
  if (part(4) > 23 || part(5) > 59 || part(6) > 59 || part(9) > 23 || part(10) > 59) return undefined
  const fractionMs = Math.trunc(Number(`0.${match[7] ?? '0'}`) * 1000)
  const offsetMinutes = (match[8] === '-' ? -1 : 1) * (part(9) * 60 + part(10))
  return date.getTime() + ((part(4) * 60 + part(5) - offsetMinutes) * 60 + part(6)) * 1000 + fractionMs
}

/** A []byte: base64, or null when there are none. */
export const bytes: Shape<Uint8Array> = {
  get zero() {
    return new Uint8Array(0)
  },
  read(raw) {
    if (typeof raw !== 'string' || raw.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(raw))
      throw bad('expected base64')
    return new Uint8Array(Buffer.from(raw, 'base64'))
  },
  write: (value) => (value.length === 0 ? null : Buffer.from(value).toString('base64')),
  isEmpty: (value) => value.length === 0,
}

/** Any JSON value, as JSON.parse gave it (integers beyond 2^53 as text). */
export const raw: Shape<unknown> = {
  zero: undefined,
  read: (value) => value,
  write: (value) => value ?? null,
  isEmpty: (value) => value === undefined || value === null,
  ofNull: () => null,
}

/** A netip value: "" is the zero value and stands for none. */
function addressText(what: string, canonical: (raw: string) => string | undefined): Shape<string> {
  return {
    zero: '',
    read(raw) {
      if (raw === '') return ''
      const value = typeof raw === 'string' ? canonical(raw) : undefined
      if (value === undefined) throw bad(`expected ${what}`)
      return value
    },
    write: (value) => value,
    isEmpty: (value) => value === '',
  }
}

export const ip: Shape<IpAddress> = addressText('an IP address', canonicalIp)
export const endpoint: Shape<Endpoint> = addressText('an ip:port', canonicalEndpoint)
export const prefix: Shape<Prefix> = addressText('an address prefix', canonicalPrefix)

/** Undefined when `value` is no prefix; host bits stay as they are. */
export function canonicalPrefix(value: string): Prefix | undefined {
  const parsed = parsePrefix(value)
  const address = parsed && bytesToIp(parsed.bytes)
  // An IPv4-mapped prefix would come out with bits that belong to IPv6.
  if (!parsed || address === undefined || (parsed.bytes.length === 16 && !address.includes(':'))) return undefined
  return `${address}/${parsed.bits}`
}

export const nodeKey: Shape<NodePublic> = {
  zero: NodePublic.zero,
  read: (raw) => (raw === '' ? NodePublic.zero : NodePublic.parse(keyText(raw))),
  write: (value) => value.text,
  isEmpty: (value) => value.isZero,
}

/** The zero key is undefined: a peer without disco. */
export const discoKey: Shape<DiscoPublic | undefined> = {
  zero: undefined,
  read(raw) {
    const key = raw === '' ? DiscoPublic.zero : DiscoPublic.parse(keyText(raw))
    return key.isZero ? undefined : key
  },
  write: (value) => (value ?? DiscoPublic.zero).text,
  isEmpty: (value) => value === undefined,
}

/** The zero key is undefined. */
export const machineKey: Shape<MachinePublic | undefined> = {
  zero: undefined,
  read(raw) {
    const key = raw === '' ? MachinePublic.zero : MachinePublic.parse(keyText(raw))
    return key.isZero ? undefined : key
  },
  write: (value) => (value ?? MachinePublic.zero).text,
  isEmpty: (value) => value === undefined,
}

function keyText(raw: unknown): string {
  if (typeof raw !== 'string') throw bad('expected a key')
  return raw
}
