// A provider, or somebody in its place, that answers otherwise than it should: nobody is signed in, and the person reads why.

import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import { comeBack, KARIN, leave, nameIn, newBrowser, oidcSite, refusalIn } from './test-oidc-site.ts'
import { CLIENT } from './test-provider.ts'

const json = (response: ServerResponse, value: unknown, status = 200): void => {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}

type Claims = Record<string, unknown>

test('a token that is not right in every part signs nobody in', async (t) => {
  const its = await oidcSite(t)
  const { provider } = its
  const now = (): number => Math.floor(its.clock.wallNow() / 1000)
  const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const tries: readonly (readonly [string, (right: Claims) => Claims | string, boolean?])[] = [
    ['as it should be', (right) => right, true],
    ['from a clock half a minute behind', (right) => ({ ...right, exp: now() - 30 }), true],
    ['from a clock half a minute ahead', (right) => ({ ...right, iat: now() + 30, nbf: now() + 30 }), true],
    ['signed by somebody else', (right) => provider.token(right, stranger)],
    ['not signed', (right) => `${encoded({ alg: 'none' })}.${encoded(right)}.`],
    ['with a signature cut off', (right) => provider.token(right).slice(0, -10)],
    ['by the client secret', (right) => `${encoded({ alg: 'HS256' })}.${encoded(right)}.AAAA`],
    ['of another issuer', (right) => ({ ...right, iss: 'https://id.example.org' })],
    ['for another server', (right) => ({ ...right, aud: 'somebody' })],
    ['for this server among others, by another', (right) => ({ ...right, aud: [CLIENT.id, 'x'], azp: 'x' })],
    ['of another sign-in', (right) => ({ ...right, nonce: 'another' })],
    ['without the nonce', (right) => ({ ...right, nonce: undefined })],
    ['two minutes too old', (right) => ({ ...right, exp: now() - 120 })],
    ['of the future', (right) => ({ ...right, nbf: now() + 120 })],
    ['about nobody', (right) => ({ ...right, sub: undefined })],
    ['no token at all', () => 'x'],
  ]
  for (const [what, change, isGood] of tries) {
    const browser = await newBrowser(its)
    const begun = await browser.call('oidc/begin', { provider: 'corp', purpose: 'sign-in', login: undefined })
    assert.equal(begun.status, 200, begun.text)
    const url = new URL(String(begun.body.value?.['url']))
    const right = {
      iss: provider.issuer,
      sub: KARIN.sub,
      aud: CLIENT.id,
      iat: now(),
      exp: now() + 60,
      nonce: url.searchParams.get('nonce'),
      email: KARIN.email,
      email_verified: true,
    }
    const changed = change(right)
    const token = typeof changed === 'string' ? changed : provider.token(changed)
    provider.instead.set('/token', (_request, response) =>
      json(response, { access_token: 'a', token_type: 'Bearer', id_token: token }),
    )
    provider.instead.set('/me', (_request, response) => json(response, { sub: KARIN.sub }))
    const query = new URLSearchParams({
      code: 'c',
      state: url.searchParams.get('state') ?? '',
      iss: provider.issuer,
    }).toString()
    const refused = refusalIn(await comeBack(browser, query))
    assert.equal(refused?.code, isGood ? undefined : 'login/provider-failed', what)
    assert.equal(await nameIn(browser), isGood ? 'karin@corp.example' : undefined, what)
    its.clock.advance(60_000)
  }
  assert.equal((await its.coord.admin.listUsers()).length, 2)
})

test('an answer in another provider’s name is refused (RFC 9207)', async (t) => {
  const its = await oidcSite(t)
  for (const change of [
    (query: URLSearchParams) => query.set('iss', 'https://id.example.org'),
    // The provider says that it always names itself.
    (query: URLSearchParams) => query.delete('iss'),
    (query: URLSearchParams) => query.append('iss', 'https://id.example.org'),
    (query: URLSearchParams) => query.append('code', 'another'),
  ]) {
    const browser = await newBrowser(its)
    const query = new URLSearchParams(await leave(browser, its.provider, KARIN))
    assert.equal(query.get('iss'), its.provider.issuer)
    change(query)
    assert.equal(refusalIn(await comeBack(browser, query.toString()))?.code, 'login/provider-failed')
    assert.equal(await nameIn(browser), undefined)
  }
})

test('endless, broken, led astray or absent: the person reads what to do, and the server goes on', async (t) => {
  const its = await oidcSite(t)
  const { provider } = its
  const token = new Map<string, (response: ServerResponse) => void>([
    ['nothing to read', (response) => response.writeHead(200).end()],
    ['an error', (response) => json(response, { error: 'invalid_grant' }, 400)],
    ['a failure', (response) => response.writeHead(503).end('later')],
    ['a list', (response) => json(response, [])],
    ['another page', (response) => response.writeHead(302, { location: 'https://example.org/' }).end()],
    ['a wall', (response) => response.destroy()],
    [
      'no end',
      (response) => {
        response.writeHead(200, { 'content-type': 'application/json' })
        const part = 'x'.repeat(64 * 1024)
        const more = (): void => {
          if (response.destroyed) return
          response.write(part, () => setImmediate(more))
        }
        more()
      },
    ],
  ])
  for (const [what, answer] of token) {
    const browser = await newBrowser(its)
    const query = await leave(browser, provider, KARIN)
    provider.instead.set('/token', (_request, response) => answer(response))
    const refused = refusalIn(await comeBack(browser, query))
    assert.deepEqual(
      [refused?.code, /sign in another way/.test(refused?.message ?? '')],
      ['login/provider-failed', true],
      what,
    )
    provider.instead.delete('/token')
    its.clock.advance(60_000)
  }
  // What the person shares may not be somebody else's.
  const browser = await newBrowser(its)
  const query = await leave(browser, provider, KARIN)
  provider.instead.set('/me', (_request, response) => json(response, { ...KARIN, sub: 'k-2' }))
  assert.equal(refusalIn(await comeBack(browser, query))?.code, 'login/provider-failed')
  assert.equal((await its.coord.admin.listUsers()).length, 1)

  // The addresses are looked up again after a while; then it is away.
  its.clock.advance(11 * 60_000)
  provider.instead.set('/.well-known/openid-configuration', (_request, response) => response.destroy())
  const begun = await (
    await newBrowser(its)
  ).call('oidc/begin', { provider: 'corp', purpose: 'sign-in', login: undefined })
  assert.deepEqual([begun.status, begun.body.code], [502, 'login/provider-failed'])
  // Whoever has a password goes on.
  assert.equal(await nameIn(its.browser), 'ines')
})

test('a provider that is none, or leads to a page without TLS, is not taken', async (t) => {
  const its = await oidcSite(t)
  const { provider } = its
  const { admin } = its.coord
  const add = (issuer: string): Promise<unknown> => admin.oidc.add({ name: 'second', issuer, clientId: 'x' })
  await assert.rejects(add('http://id.example.org'), /begins with https/)
  await assert.rejects(add('ftp://id.example.org'), /begins with https/)
  await assert.rejects(add('https://id.example.org/?x=1'), /has no query/)
  await assert.rejects(add('https://user@id.example.org/'), /has no query/)
  await assert.rejects(add(provider.issuer), /corp is a provider with this issuer already/)
  await assert.rejects(add(`${provider.issuer}/other`), /does not answer as a provider/)
  await assert.rejects(
    admin.oidc.add({ name: 'Corp', issuer: `${provider.issuer}/`, clientId: 'x' }),
    /corp on this server/,
  )
  await assert.rejects(admin.oidc.add({ name: 'a b', issuer: provider.issuer, clientId: 'x' }), /letters, digits/)

  its.clock.advance(11 * 60_000)
  const at = (place: string): Claims => ({
    issuer: provider.issuer,
    authorization_endpoint: place,
    token_endpoint: `${provider.issuer}/token`,
    jwks_uri: `${provider.issuer}/jwks`,
  })
  for (const place of ['javascript:alert(1)', 'data:text/html,x', 'file:///etc/passwd']) {
    provider.instead.set('/.well-known/openid-configuration', (_request, response) => json(response, at(place)))
    const begun = await (
      await newBrowser(its)
    ).call('oidc/begin', { provider: 'corp', purpose: 'sign-in', login: undefined })
    assert.equal(begun.body.code, 'login/provider-failed', place)
    its.clock.advance(11 * 60_000)
  }
})

const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
