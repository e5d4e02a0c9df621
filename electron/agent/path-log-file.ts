// How path changes are written down. What is broken of a file is left out and counted; only what is no list at all is thrown.

import { splitEndpoint } from '../base/endpoint.ts'
import { NodePublic } from '../crypto/keys.ts'
import type { PathChange, PathPlace } from '../path/path-history.ts'
import { type PathKind, type PathReason, REASON_TEXT } from '../path/path-view.ts'

/** Some 250 bytes for each of the changes that are kept, and then as much again. */
export const MOST_FILE_BYTES = 4_000_000
const FORMAT = 1
const KINDS: readonly PathKind[] = ['direct', 'peer-relay', 'derp', 'none']

export function encodePathLog(changes: ReadonlyMap<string, readonly PathChange[]>): string {
  const peers = Object.fromEntries(
    [...changes].map(([key, list]) => [
      key,
      // The words are this version's own, not the file's.
      list.map(({ atWallMs, from, to, reason, latencyMs }) => ({ atWallMs, from, to, reason, latencyMs })),
    ]),
  )
  return `${JSON.stringify({ format: FORMAT, peers })}\n`
}

export interface DecodedPathLog {
  /** By the node key's text. */
  readonly changes: Map<string, PathChange[]>
  /** How many entries were left out. */
  readonly broken: number
}

export function decodePathLog(content: string): DecodedPathLog {
  const document: unknown = JSON.parse(content)
  if (!isRecord(document) || document['format'] !== FORMAT || !isRecord(document['peers']))
    throw new Error('it is no list of path changes')
  const changes = new Map<string, PathChange[]>()
  let broken = 0
  for (const [key, list] of Object.entries(document['peers'])) {
    if (!isNodeKey(key) || !Array.isArray(list)) {
      broken += 1
      continue
    }
    const kept = list.map(decodeChange).filter((one) => one !== undefined)
    broken += list.length - kept.length
    if (kept.length > 0) changes.set(key, kept)
  }
  return { changes, broken }
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function isNodeKey(text: string): boolean {
  try {
    return NodePublic.parse(text).text === text
  } catch {
    return false
  }
}

const isReason = (value: unknown): value is PathReason => typeof value === 'string' && Object.hasOwn(REASON_TEXT, value)

function decodeChange(value: unknown): PathChange | undefined {
  if (!isRecord(value)) return undefined
  const { atWallMs, reason, latencyMs } = value
  const [from, to] = [decodePlace(value['from']), decodePlace(value['to'])]
  if (typeof atWallMs !== 'number' || !from || !to || !isReason(reason)) return undefined
  if (latencyMs !== undefined && typeof latencyMs !== 'number') return undefined
  const measured = latencyMs === undefined ? {} : { latencyMs }
  return { atWallMs, from, to, reason, reasonText: REASON_TEXT[reason], ...measured }
}

function decodePlace(value: unknown): PathPlace | undefined {
  if (!isRecord(value)) return undefined
  const { endpoint, region, relay } = value
  const kind = KINDS.find((one) => one === value['kind'])
  if (kind === undefined) return undefined
  if (endpoint !== undefined && (typeof endpoint !== 'string' || !splitEndpoint(endpoint))) return undefined
  if (region !== undefined && !Number.isSafeInteger(region)) return undefined
  if (relay !== undefined && (typeof relay !== 'string' || !isNodeKey(relay))) return undefined
  return {
    kind,
    ...(typeof endpoint === 'string' ? { endpoint } : {}),
    ...(typeof region === 'number' ? { region } : {}),
    ...(typeof relay === 'string' ? { relay } : {}),
  }
}
