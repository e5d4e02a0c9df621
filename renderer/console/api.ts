// The server's API as the console asks it: /api/v1 on the console's own origin, with the session's cookie.

import type {
  Machine,
  Paths,
  Settings,
  Me,
  Person,
  PolicyEffects,
  PolicyText,
  Secret,
  AuthKey,
  Waiting,
  Route,
  Dns,
  AuditLine,
  DerpMap,
  RelayAdvice,
  Restored,
  UploadedBackup,
} from './types.ts'

/** What the server refused, in its own words. */
export class Refusal extends Error {
  readonly status: number
  readonly code: string
  /** Of a policy: where it is wrong. */
  readonly problems: readonly Problem[]

  constructor(status: number, code: string, message: string, problems: readonly Problem[] = []) {
    super(message)
    this.status = status
    this.code = code
    this.problems = problems
  }
}

export interface Problem {
  readonly line: number
  readonly column: number
  readonly message: string
}

const TIMEOUT_MS = 20_000

/** Of several tailnets, which; the person's home when there is none. */
let tailnet: string | undefined
export const askAbout = (name: string | undefined): void => void (tailnet = name)

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

const ask = <T>(method: Method, path: string, body?: unknown): Promise<T> =>
  send(method, path, 'application/json', body === undefined ? null : JSON.stringify(body), TIMEOUT_MS)

async function send<T>(
  method: Method,
  path: string,
  type: string,
  body: BodyInit | null,
  timeoutMs: number,
): Promise<T> {
  let response: Response
  try {
    response = await fetch(`/api/v1${path}`, {
      method,
      headers: {
        ...(method !== 'GET' && { 'content-type': type }),
        ...(tailnet !== undefined && { 'x-peerway-tailnet': tailnet }),
      },
      body,
      signal: AbortSignal.timeout(timeoutMs),
    })
  } catch {
    throw new Refusal(0, 'console/unreachable', 'The server does not answer. What you see may be old.')
  }
  if (response.status === 204) return undefined as T
  const value: unknown = await response.json().catch(() => undefined)
  if (response.ok && value !== undefined) return value as T
  const { error } = (value ?? {}) as {
    readonly error?: { code: string; message: string; problems?: readonly Problem[] }
  }
  throw new Refusal(
    response.status,
    error?.code ?? 'console/unreadable',
    error?.message ?? 'The server’s answer cannot be read.',
    error?.problems,
  )
}

const part = encodeURIComponent

export const api = {
  me: () => ask<Me>('GET', '/me'),
  machines: () => ask<readonly Machine[]>('GET', '/nodes'),
  rename: (id: number, to: string) => ask<Machine>('PUT', `/nodes/${id}/name`, { to }),
  tag: (id: number, tags: readonly string[]) => ask<Machine>('PUT', `/nodes/${id}/tags`, { tags }),
  move: (id: number, user: string) => ask<Machine>('PUT', `/nodes/${id}/user`, { user }),
  expire: (id: number) => ask<Machine>('POST', `/nodes/${id}/expire`, {}),
  forget: (id: number) => ask<void>('DELETE', `/nodes/${id}`),
  paths: () => ask<readonly Paths[]>('GET', '/paths'),
  approveMachine: (id: number) => ask<Machine>('POST', `/nodes/${id}/approve`),
  settings: () => ask<Settings>('GET', '/settings'),
  setSettings: (wish: Readonly<Record<string, unknown>>) => ask<Settings>('PATCH', '/settings', wish),
  waiting: () => ask<readonly Waiting[]>('GET', '/logins'),
  letIn: (login: string, user: string) => ask<Machine>('POST', `/logins/${part(login)}/approve`, { user }),
  routes: () => ask<readonly Route[]>('GET', '/routes'),
  approve: (id: number, routes: readonly string[]) =>
    ask<readonly Route[]>('POST', `/nodes/${id}/routes/approve`, { routes }),
  revoke: (id: number, routes: readonly string[]) =>
    ask<readonly Route[]>('POST', `/nodes/${id}/routes/revoke`, { routes }),
  people: () => ask<readonly Person[]>('GET', '/users'),
  addPerson: (name: string, role: string) => ask<Person>('POST', '/users', { name, role }),
  setRole: (name: string, role: string) => ask<Person>('PUT', `/users/${part(name)}/role`, { role }),
  removePerson: (name: string) => ask<void>('DELETE', `/users/${part(name)}`),
  invite: (name: string) =>
    ask<{ readonly url: string; readonly expiresAt: string }>('POST', `/users/${part(name)}/invite`),
  keys: () => ask<readonly AuthKey[]>('GET', '/auth-keys'),
  makeKey: (wish: Readonly<Record<string, unknown>>) => ask<Secret>('POST', '/auth-keys', wish),
  revokeKey: (id: string) => ask<void>('DELETE', `/auth-keys/${part(id)}`),
  policy: () => ask<PolicyText>('GET', '/policy'),
  tryPolicy: (text: string) => ask<PolicyEffects>('POST', '/policy/diff', { text }),
  setPolicy: (text: string, expected: number) => ask<PolicyText>('PUT', '/policy', { text, expected }),
  dns: () => ask<Dns>('GET', '/dns'),
  setDns: (wish: Readonly<Record<string, unknown>>) => ask<Dns>('PATCH', '/dns', wish),
  addRecord: (name: string, value: string) => ask<Dns>('POST', '/dns/records', { name, value }),
  removeRecord: (name: string, value: string) => ask<Dns>('DELETE', `/dns/records/${part(name)}?value=${part(value)}`),
  derpMap: () => ask<DerpMap>('GET', '/derp-map'),
  addRegion: (wish: Readonly<Record<string, unknown>>) => ask<DerpMap>('POST', '/derp-map/regions', wish),
  removeRegion: (id: number) => ask<DerpMap>('DELETE', `/derp-map/regions/${id}`),
  advice: () => ask<RelayAdvice>('GET', '/relays/advice'),
  restore: (upload: string, passphrase: string) =>
    ask<Restored>('POST', '/restore', { upload, ...(passphrase !== '' && { passphrase }) }),
  restored: (upload: string) => ask<Restored>('GET', `/restore/${part(upload)}`),
  audit: (sinceMs: number) => ask<readonly AuditLine[]>('GET', `/audit?since=${sinceMs}`),
}

/** As long as a server waits for one. */
const UPLOAD_MS = 90_000

/** Looked into by the server, and not restored yet. */
export const uploadBackup = (file: File): Promise<UploadedBackup> =>
  send('POST', '/restore/upload', 'application/octet-stream', file, UPLOAD_MS)

/** Of the whole server; as a file of this browser's. */
export async function downloadBackup(passphrase: string): Promise<void> {
  const response = await fetch('/api/v1/backup', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(tailnet !== undefined && { 'x-peerway-tailnet': tailnet }) },
    body: JSON.stringify(passphrase === '' ? {} : { passphrase }),
  })
  if (!response.ok) {
    const { error } = (await response.json().catch(() => ({}))) as { readonly error?: { message: string } }
    throw new Refusal(response.status, 'console/no-backup', error?.message ?? 'No backup could be made.')
  }
  const url = URL.createObjectURL(await response.blob())
  const link = document.createElement('a')
  link.href = url
  link.download = /filename="([^"]+)"/.exec(response.headers.get('content-disposition') ?? '')?.[1] ?? 'coord.backup'
  link.click()
  URL.revokeObjectURL(url)
}
