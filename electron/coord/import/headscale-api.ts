// Reads a Headscale server over its API (REST, as of versions 0.23 to 0.27): GET /api/v1/user, /node and /policy with a key
// that "headscale apikeys create" makes there. Nothing is changed on that server.

import { canonicalIp, isV6 } from '../../base/endpoint.ts'
import { messageOf } from '../../base/errors.ts'
import { MachinePublic, NodePublic } from '../../crypto/keys.ts'
import { CoordError } from '../errors.ts'
import { isLoopback, readAll, UnfitAnswer } from '../identity/oidc/bounded-fetch.ts'
import { keptPolicy } from './carry-policy.ts'
import type { ForeignNetwork, ForeignNode, ForeignUser } from './foreign-network.ts'
import { timeOf } from './headscale-database.ts'

/** For all questions together. */
const TIMEOUT_MS = 45_000
/** A node is about a kilobyte. */
const MOST_BYTES = 64 * 1024 * 1024
const MOST_ROWS = 100_000
const TRIED_VERSION = /^v?0\.2[3-7]\./

export interface HeadscaleServer {
  readonly url: string
  /** Sent to that server only, and never shown. */
  readonly apiKey: string
}

type Row = Readonly<Record<string, unknown>>

interface Answer {
  readonly status: number
  readonly body: Row | undefined
}

/** Throws CoordError when that server cannot be asked, or is another. */
export async function readHeadscaleServer(server: HeadscaleServer, timeoutMs = TIMEOUT_MS): Promise<ForeignNetwork> {
  const base = baseOf(server.url)
  if (!/^[\x21-\x7e]{1,512}$/.test(server.apiKey))
    throw new CoordError('coord/bad-argument', `The API key is not one. ${HOW_TO_A_KEY}`)
  const signal = AbortSignal.timeout(timeoutMs)
  const ask = async (path: string): Promise<Answer> => answerOf(base, path, server.apiKey, signal)
  const users = rowsOf(base, await ask('api/v1/user'), 'users').map(userOf)
  const rows = rowsOf(base, await ask('api/v1/node'), 'nodes')
  const unread: string[] = []
  const nodes = rows.flatMap((row) => {
    const node = nodeOf(row, users, unread)
    if (typeof node !== 'string') return [node]
    unread.push(node)
    return []
  })
  const policy = policyOf(await ask('api/v1/policy'))
  const { text, remarks } = keptPolicy(policy.text)
  const about = [...remarks, ...policy.remarks, ...versionRemarks(await ask('version').catch(() => undefined))]
  if (base.protocol === 'http:' && !isLoopback(base.hostname))
    about.push('The API key went over the network unencrypted: end it there, with "headscale apikeys expire".')
  return { users, nodes, unread: [...unread, ...about], policy: text }
}

const HOW_TO_A_KEY = 'On that server, "headscale apikeys create" makes one.'

function baseOf(text: string): URL {
  let url: URL | undefined
  try {
    url = new URL(text)
  } catch {
    // Told below.
  }
  if (!url || !['http:', 'https:'].includes(url.protocol) || url.username !== '' || url.password !== '')
    throw new CoordError('coord/bad-argument', 'The URL of a Headscale server looks like https://headscale.example.com')
  url.search = url.hash = ''
  if (!url.pathname.endsWith('/')) url.pathname += '/'
  return url
}

async function answerOf(base: URL, path: string, apiKey: string, signal: AbortSignal): Promise<Answer> {
  let response: Response
  let bytes: Uint8Array
  try {
    response = await fetch(new URL(path, base), {
      // The version is told to everybody.
      headers: path.startsWith('api/') ? { authorization: `Bearer ${apiKey}` } : {},
      redirect: 'manual',
      signal,
    })
    bytes = await readAll(response, MOST_BYTES)
  } catch (cause) {
    throw new CoordError('coord/unreachable', `${base.href} cannot be read: ${whyNot(cause)}`, { cause })
  }
  const { status, headers } = response
  if (status === 401 || status === 403)
    throw new CoordError(
      'coord/bad-argument',
      `${base.href} does not accept this API key; it may have expired. ${HOW_TO_A_KEY}`,
    )
  if (status >= 300 && status < 400)
    throw new CoordError(
      'coord/bad-argument',
      `${base.href} sends callers elsewhere (${headers.get('location')?.slice(0, 200) ?? 'nowhere'}). Give the URL of the server itself.`,
    )
  return { status, body: objectOf(bytes) }
}

/** `fetch failed` says nothing; its cause does. */
function whyNot(error: unknown): string {
  if (error instanceof UnfitAnswer) return `${error.message}.`
  if (error instanceof Error && error.name === 'TimeoutError') return 'it does not answer in time.'
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  if (/CERT|VERIFY|SELF_SIGNED|ISSUER/.test(code))
    return `its certificate does not hold (${messageOf(cause)}). For an authority of your own, set NODE_EXTRA_CA_CERTS to its certificate where peerway coord runs.`
  if (/SSL|TLS|EPROTO/.test(code) || /wrong version number/i.test(messageOf(cause)))
    return 'it does not speak TLS there. Is the port right, or is it http:// ?'
  return `${messageOf(cause) || code}. Is the URL right, and does the server run?`
}

function objectOf(bytes: Uint8Array): Row | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes))
    return isRow(value) ? value : undefined
  } catch {
    return undefined
  }
}

const isRow = (value: unknown): value is Row => typeof value === 'object' && value !== null && !Array.isArray(value)

function rowsOf(base: URL, { status, body }: Answer, name: string): Row[] {
  const told = textOf(body ?? {}, 'message')
  if (status >= 500)
    throw new CoordError('coord/unreachable', `${base.href} cannot answer just now (${status} ${told.slice(0, 200)}).`)
  const rows = body?.[name]
  if (status !== 200 || !Array.isArray(rows))
    throw new CoordError(
      'coord/bad-argument',
      `${base.href} is not a Headscale server of version 0.23 or later: it does not list its ${name} (${status}).`,
    )
  if (rows.length > MOST_ROWS)
    throw new CoordError('coord/bad-argument', `${base.href} has more than ${MOST_ROWS} ${name}.`)
  return rows.filter(isRow)
}

const textOf = (row: Row, name: string): string => {
  const value = row[name]
  return typeof value === 'string' ? value : ''
}

const textsOf = (row: Row, name: string): string[] => {
  const value = row[name]
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []
}

/** Numbers of 64 bits are text there. */
function userOf(row: Row): ForeignUser {
  return {
    foreignId: Number(row['id']),
    name: textOf(row, 'name') || textOf(row, 'email') || `user-${String(row['id'])}`,
    displayName: textOf(row, 'displayName') || textOf(row, 'name'),
    email: textOf(row, 'email') || undefined,
  }
}

/** What stands for a row that cannot be taken says why. */
function nodeOf(row: Row, users: readonly ForeignUser[], remarks: string[]): ForeignNode | string {
  const shown = textOf(row, 'givenName') || textOf(row, 'name') || `node ${String(row['id'])}`
  // Later versions have one list; before, one of what was set and one of what the policy granted.
  const tags = [...new Set(['tags', 'forcedTags', 'validTags'].flatMap((name) => textsOf(row, name)))]
  const of = isRow(row['user']) ? Number(row['user']['id']) : Number.NaN
  let user = users.find(({ foreignId }) => foreignId === of)
  if (!user && tags.length > 0 && users[0]) {
    user = users[0]
    remarks.push(`${shown}: belongs to its tags there, and to ${user.name} here.`)
  }
  if (!user) return `${shown}: its user is not there`
  const addresses = textsOf(row, 'ipAddresses').flatMap((text) => canonicalIp(text) ?? [])
  try {
    return {
      name: textOf(row, 'givenName'),
      hostname: textOf(row, 'name'),
      user: user.name,
      machineKey: MachinePublic.parse(textOf(row, 'machineKey')),
      nodeKey: NodePublic.parse(textOf(row, 'nodeKey')),
      addressV4: addresses.find((address) => !isV6(address)),
      addressV6: addresses.find(isV6),
      tags,
      routes: textsOf(row, 'approvedRoutes'),
      expiresAtMs: timeOf(row['expiry']),
    }
  } catch {
    return `${shown}: its keys cannot be read`
  }
}

/** A server without a policy answers with a failure, as one does that cannot read its file. */
function policyOf({ status, body }: Answer): { text: string | undefined; remarks: string[] } {
  const text = textOf(body ?? {}, 'policy')
  if (status === 200) return { text: text.trim() === '' ? undefined : text, remarks: [] }
  const told = textOf(body ?? {}, 'message').slice(0, 200)
  if (/policy not found|from path ""/.test(told)) return { text: undefined, remarks: [] }
  return {
    text: undefined,
    remarks: [
      `Policy: that server does not give it out (${status} ${told}). Carry it over with: peerway coord policy set FILE`,
    ],
  }
}

function versionRemarks(answer: Answer | undefined): string[] {
  const version = textOf(answer?.body ?? {}, 'version').slice(0, 40)
  if (TRIED_VERSION.test(version)) return []
  const shown = /^[\w.+-]+$/.test(version) ? `has version ${version}` : 'does not say its version'
  return [`That server ${shown}; versions 0.23 to 0.27 have been tried. Compare the list above with its own.`]
}
