// For tests: a real provider program (the oidc-provider package) on this machine, with people, groups, and a hand in what it
// answers.

import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { Provider } from 'oidc-provider'

export interface Person {
  readonly sub: string
  readonly email?: string
  readonly email_verified?: boolean
  readonly preferred_username?: string
  readonly name?: string
  readonly groups?: readonly string[]
}

export interface TestProvider {
  readonly issuer: string
  /** Who is before the provider's page; with undefined the person refuses. */
  person: Person | undefined
  /** Takes the place of an answer; by path, such as "/token". */
  readonly instead: Map<string, (request: IncomingMessage, response: ServerResponse, body: string) => void>
  /** Requests by path. */
  readonly asked: string[]
  /** An ID token with this key, or with the provider's own. */
  token(claims: Readonly<Record<string, unknown>>, key?: KeyObject): string
  /** As browsers do: from an address of the server's to the one that leads back; query included. */
  visit(url: string): Promise<string>
}

export const CLIENT = { id: 'peerway', secret: randomBytes(24).toString('base64url') }

export async function testProvider(
  t: Pick<TestContext, 'after'>,
  redirectUris: readonly string[],
): Promise<TestProvider> {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const kid = 'one'
  const people = new Map<string, Person>()
  const asked: string[] = []
  const instead: TestProvider['instead'] = new Map()
  let answer: ((request: IncomingMessage, response: ServerResponse) => unknown) | undefined
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0] ?? ''
    asked.push(path)
    const other = instead.get(path)
    if (!other) return void answer?.(request, response)
    let body = ''
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
    request.on('end', () => other(request, response, body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: CLIENT.id,
        client_secret: CLIENT.secret,
        redirect_uris: [...redirectUris],
        grant_types: ['authorization_code'],
        response_types: ['code'],
      },
    ],
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' }] },
    cookies: { keys: [randomBytes(16).toString('hex')] },
    claims: {
      openid: ['sub'],
      email: ['email', 'email_verified'],
      profile: ['preferred_username', 'name'],
      groups: ['groups'],
    },
    scopes: ['openid', 'email', 'profile', 'groups'],
    features: { devInteractions: { enabled: false } },
    pkce: { required: () => true },
    interactions: { url: (_context, { uid }) => `/interaction/${uid}` },
    findAccount: (_context, sub) => ({ accountId: sub, claims: async () => ({ ...people.get(sub), sub }) }),
    // People are not asked what they share.
    loadExistingGrant: async ({ oidc }) => {
      const grant = new provider.Grant({
        clientId: oidc.client?.clientId ?? '',
        accountId: oidc.session?.accountId ?? '',
      })
      grant.addOIDCScope('openid email profile groups')
      await grant.save()
      return grant
    },
  })
  const handle = provider.callback()
  const its: TestProvider = {
    issuer,
    person: undefined,
    instead,
    asked,
    token(claims, key = privateKey) {
      const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
      const signed = `${part({ alg: 'RS256', kid, typ: 'JWT' })}.${part(claims)}`
      return `${signed}.${sign('sha256', Buffer.from(signed), key).toString('base64url')}`
    },
    visit: (url) => follow(url, issuer),
  }
  answer = (request, response) => {
    if (!request.url?.startsWith('/interaction/')) return handle(request, response)
    const { person } = its
    if (person) people.set(person.sub, person)
    const result = person
      ? { login: { accountId: person.sub } }
      : { error: 'access_denied', error_description: 'cancelled' }
    return provider.interactionFinished(request, response, result)
  }
  return its
}

const MOST_STEPS = 12

/** Keeps the provider's cookies for this visit; what is not the provider's is where it ends. */
export async function follow(start: string, issuer: string): Promise<string> {
  const cookies = new Map<string, string>()
  let url = start
  for (let step = 0; step < MOST_STEPS; step++) {
    if (!url.startsWith(issuer)) return url
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(url, { redirect: 'manual', headers: { cookie } })
    for (const line of response.headers.getSetCookie()) {
      const [pair = ''] = line.split(';')
      cookies.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1))
    }
    const next = response.headers.get('location')
    if (next === null) throw new Error(`the provider stays at ${url}: ${(await response.text()).slice(0, 500)}`)
    url = new URL(next, url).href
  }
  throw new Error('the provider leads in circles')
}
