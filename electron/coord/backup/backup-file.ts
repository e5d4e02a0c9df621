// A backup is one file: gzip of lines of JSON.
//
//   {"format":"peerway-coord-backup","version":1,"schema":4,"createdAt":…,"publicKey":"mkey:…","key":{…}}
//   {"table":"users","row":{"id":1,…}}            rows; bytes as {"base64":…}
//   {"table":"users","counter":7}                 the last number given out
//   {"end":true,"rows":123}                       without it the file is not whole
//
// Passwords are in it as argon2id, tokens and keys of others as hashes. The server's own key only when a passphrase seals it:
// whoever has that key is the server.

import { createCipheriv, createDecipheriv, randomBytes, scryptSync } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { open, rename, unlink } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'
import { codeOf } from '../../base/errors.ts'
import { CoordError } from '../errors.ts'
import type { Dumped, DumpedRow, DumpedValue } from '../store/dump.ts'

const FORMAT = 'peerway-coord-backup'
const VERSION = 1
/** A policy has half a megabyte at most. */
const LONGEST_LINE = 16 * 1024 * 1024
/** 64 MiB and some tenths of a second: RFC 7914 with the cost that is advised for stored passphrases. */
const SCRYPT = { N: 2 ** 16, r: 8, p: 1, maxmem: 128 * 1024 * 1024 }

export interface BackupHeader {
  readonly schema: number
  readonly createdAtMs: number
  readonly publicKey: string
  readonly key: SealedKey | undefined
}

export interface SealedKey {
  readonly salt: string
  readonly sealed: string
}

export interface Backup {
  readonly header: BackupHeader
  /** To be read once, to its end. Throws CoordError 'coord/backup-damaged' where the file is not whole. */
  readonly rows: AsyncIterable<Dumped>
}

/** Written beside and put in place when it is whole; readable by its owner alone. Answers the number of rows. */
export async function writeBackup(path: string, header: BackupHeader, dump: AsyncIterable<Dumped>): Promise<number> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
  let rows = 0
  async function* lines(): AsyncGenerator<string> {
    yield line({ format: FORMAT, version: VERSION, ...header })
    for await (const one of dump) {
      if ('row' in one) rows++
      yield line(one)
    }
    yield line({ end: true, rows })
  }
  try {
    await pipeline(Readable.from(lines()), createGzip(), createWriteStream(temporary, { flags: 'wx', mode: 0o600 }))
    const file = await open(temporary, 'r+')
    try {
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
    return rows
  } catch (error) {
    await unlink(temporary).catch(() => {})
    throw fileFailure(path, error)
  }
}

const line = (value: unknown): string => `${JSON.stringify(value)}\n`

/** `mostBytes`: of what is in it, once decompressed. */
export async function readBackup(path: string, mostBytes = Number.POSITIVE_INFINITY): Promise<Backup> {
  const lines = linesOf(path, mostBytes)
  const first = await lines.next()
  const raw = first.done === true ? {} : parsed(first.value, path)
  if (raw['format'] !== FORMAT) throw damaged(path, 'it is no backup of a coordination server')
  if (raw['version'] !== VERSION)
    throw new CoordError('coord/state-newer', `A later version of the program made the backup ${path}.`)
  const { schema, createdAtMs, publicKey } = raw
  if (typeof schema !== 'number' || typeof createdAtMs !== 'number' || typeof publicKey !== 'string')
    throw damaged(path, 'its first line is not whole')
  return { header: { schema, createdAtMs, publicKey, key: sealedKeyOf(raw['key']) }, rows: rowsOf(lines, path) }
}

async function* rowsOf(lines: AsyncGenerator<string>, path: string): AsyncGenerator<Dumped> {
  let rows = 0
  for await (const text of lines) {
    const { table, row, counter, end, rows: wanted } = parsed(text, path)
    if (end === true) {
      if (wanted !== rows) throw damaged(path, `it has ${rows} rows and says ${String(wanted)}`)
      return
    }
    if (typeof table !== 'string') throw damaged(path, 'a line of it is none of ours')
    if (typeof counter === 'number') yield { table, counter }
    else {
      rows++
      yield { table, row: rowOf(row, path) }
    }
  }
  throw damaged(path, 'its end is missing')
}

function rowOf(value: unknown, path: string): DumpedRow {
  if (typeof value !== 'object' || value === null) throw damaged(path, 'a row of it is none')
  for (const one of Object.values(value)) if (!isDumpedValue(one)) throw damaged(path, 'a row of it is none of ours')
  return value as DumpedRow
}

const isDumpedValue = (value: unknown): value is DumpedValue =>
  value === null ||
  typeof value === 'string' ||
  (typeof value === 'number' && Number.isSafeInteger(value)) ||
  (typeof value === 'object' && 'base64' in value && typeof value.base64 === 'string')

async function* linesOf(path: string, mostBytes: number): AsyncGenerator<string> {
  let rest = ''
  let length = 0
  try {
    const file = createReadStream(path)
    const text = createGunzip()
    file.once('error', (error) => text.destroy(error))
    for await (const chunk of file.pipe(text).setEncoding('utf8')) {
      length += String(chunk).length
      if (length > mostBytes) throw damaged(path, `it has more than ${mostBytes / 2 ** 20} MiB inside`)
      const parts = (rest + String(chunk)).split('\n')
      rest = parts.pop() ?? ''
      if (rest.length > LONGEST_LINE) throw damaged(path, 'a line of it is too long')
      yield* parts
    }
  } catch (error) {
    if (codeOf(error)?.startsWith('Z_') === true) throw damaged(path, 'it is no backup, or not whole')
    throw fileFailure(path, error)
  }
}

function parsed(text: string, path: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return { ...value }
  } catch {
    // As below.
  }
  throw damaged(path, 'a line of it is no JSON object')
}

function sealedKeyOf(value: unknown): SealedKey | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { salt, sealed } = value as Partial<Record<keyof SealedKey, unknown>>
  return typeof salt === 'string' && typeof sealed === 'string' ? { salt, sealed } : undefined
}

export function sealKey(secret: string, passphrase: string): SealedKey {
  const [salt, nonce] = [randomBytes(16), randomBytes(12)]
  const cipher = createCipheriv('aes-256-gcm', scryptSync(passphrase, salt, 32, SCRYPT), nonce)
  const sealed = Buffer.concat([nonce, cipher.update(secret, 'utf8'), cipher.final(), cipher.getAuthTag()])
  return { salt: salt.toString('base64'), sealed: sealed.toString('base64') }
}

/** Undefined for another passphrase. */
export function openKey({ salt, sealed }: SealedKey, passphrase: string): string | undefined {
  const bytes = Buffer.from(sealed, 'base64')
  if (bytes.length < 28) return undefined
  const key = scryptSync(passphrase, Buffer.from(salt, 'base64'), 32, SCRYPT)
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12), { authTagLength: 16 })
  decipher.setAuthTag(bytes.subarray(-16))
  try {
    return Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()]).toString('utf8')
  } catch {
    return undefined
  }
}

const damaged = (path: string, why: string): CoordError =>
  new CoordError('coord/backup-damaged', `The backup ${path} cannot be used: ${why}.`)

function fileFailure(path: string, error: unknown): unknown {
  switch (codeOf(error)) {
    case 'ENOENT':
      return new CoordError('coord/not-found', `There is no ${path}, or no folder for it.`, { cause: error })
    case 'ENOSPC':
      return new CoordError('coord/storage-full', `There is no room for ${path}.`, { cause: error })
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
    case 'EISDIR':
      return new CoordError('coord/state-unusable', `This account may not read or write ${path}.`, { cause: error })
    default:
      return error
  }
}
