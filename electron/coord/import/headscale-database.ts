// Reads the database file of a Headscale server (SQLite, as of versions 0.23 to 0.27). A copy is read, so that the file may
// be in use; nothing in it is changed.

import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'libsql'
import { messageOf } from '../../base/errors.ts'
import { canonicalIp } from '../../base/endpoint.ts'
import { MachinePublic, NodePublic } from '../../crypto/keys.ts'
import { CoordError } from '../errors.ts'
import type { ForeignNetwork, ForeignNode, ForeignUser } from './foreign-network.ts'
import { keptPolicy } from './carry-policy.ts'

type Row = Readonly<Record<string, unknown>>

const MOST_ROWS = 100_000

/** Throws CoordError for a file that is no such database. */
export function readHeadscaleDatabase(file: string): ForeignNetwork {
  if (!existsSync(file)) throw new CoordError('coord/not-found', `There is no file ${file}.`)
  const folder = mkdtempSync(join(tmpdir(), 'peerway-import-'))
  try {
    const copy = join(folder, 'db.sqlite')
    copyFileSync(file, copy)
    // What was committed last may still be in the log beside it.
    if (existsSync(`${file}-wal`)) copyFileSync(`${file}-wal`, `${copy}-wal`)
    return read(copy, file)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function read(copy: string, file: string): ForeignNetwork {
  let database: Database.Database | undefined
  try {
    database = new Database(copy)
    const all = (table: string): Row[] =>
      (database?.prepare(`SELECT * FROM ${table} LIMIT ${MOST_ROWS}`).all() ?? []) as Row[]
    const users = all('users').filter(isLive).map(userOf)
    const names = new Map(users.map(({ foreignId, name }) => [foreignId, name]))
    const unread: string[] = []
    const nodes = all('nodes')
      .filter(isLive)
      .flatMap((row) => {
        const node = nodeOf(row, names)
        if (typeof node !== 'string') return [node]
        unread.push(node)
        return []
      })
    const policy = keptPolicy(latestPolicy(all))
    return { users, nodes, unread: [...unread, ...policy.remarks], policy: policy.text }
  } catch (cause) {
    if (cause instanceof CoordError) throw cause
    throw new CoordError(
      'coord/bad-argument',
      `${file} is not the database of a Headscale server (${messageOf(cause)}). It is usually called db.sqlite.`,
      { cause },
    )
  } finally {
    database?.close()
  }
}

const isLive = (row: Row): boolean => row['deleted_at'] === null || row['deleted_at'] === undefined

const textOf = (row: Row, name: string): string => {
  const value = row[name]
  return typeof value === 'string' ? value : ''
}

function userOf(row: Row): ForeignUser {
  return {
    foreignId: Number(row['id']),
    name: textOf(row, 'name') || textOf(row, 'email') || `user-${String(row['id'])}`,
    displayName: textOf(row, 'display_name') || textOf(row, 'name'),
    email: textOf(row, 'email') || undefined,
  }
}

/** What stands for a row that cannot be taken says why. */
function nodeOf(row: Row, names: ReadonlyMap<number, string>): ForeignNode | string {
  const shown = textOf(row, 'given_name') || textOf(row, 'hostname') || `node ${String(row['id'])}`
  const user = names.get(Number(row['user_id']))
  if (user === undefined) return `${shown}: its user is not there`
  try {
    return {
      name: textOf(row, 'given_name'),
      hostname: textOf(row, 'hostname'),
      user,
      machineKey: MachinePublic.parse(textOf(row, 'machine_key')),
      nodeKey: NodePublic.parse(textOf(row, 'node_key')),
      addressV4: canonicalIp(textOf(row, 'ipv4')),
      addressV6: canonicalIp(textOf(row, 'ipv6')),
      tags: textList(row['forced_tags'] ?? row['tags']),
      routes: textList(row['approved_routes']),
      expiresAtMs: timeOf(row['expiry']),
    }
  } catch {
    return `${shown}: its keys cannot be read`
  }
}

function textList(value: unknown): string[] {
  try {
    const list: unknown = JSON.parse(typeof value === 'string' && value !== '' ? value : '[]')
    return Array.isArray(list) ? list.filter((one) => typeof one === 'string') : []
  } catch {
    return []
  }
}

/** Go writes "never" as the year 1. */
export function timeOf(value: unknown): number | undefined {
  const ms = typeof value === 'string' ? Date.parse(value.replace(' ', 'T')) : NaN
  return Number.isNaN(ms) || ms < Date.UTC(2000) ? undefined : ms
}

function latestPolicy(all: (table: string) => Row[]): string | undefined {
  try {
    return textOf(all('policies').filter(isLive).at(-1) ?? {}, 'data') || undefined
  } catch {
    // Older versions keep it in a file only.
    return undefined
  }
}
