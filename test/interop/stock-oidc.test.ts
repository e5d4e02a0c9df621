// Stock clients of both versions log in at our server with a passkey, a password and an account at a provider, each through a
// real browser. Browser and provider are on the server's own machine: there passkeys work without TLS, and the provider may
// do without it too.

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { browserUnavailable, openBrowser } from '../lab/browser.ts'
import { createLab, type Lab } from '../lab/lab.ts'
import { addressOf } from '../lab/mesh-node.ts'
import { labUnavailable, runOrSkip } from '../lab/netns.ts'
import { peerwayUnavailable, startCoord, type PeerwayCoord } from '../lab/peerway.ts'
import { stockUnavailable } from '../stock/binaries.ts'
import { startTailscaled, type Tailscaled } from '../stock/tailscaled.ts'

const noBrowser = browserUnavailable()
const unavailable = labUnavailable() ?? peerwayUnavailable() ?? stockUnavailable('tailscale-new', 'tailscale-old')
const options = noBrowser === undefined ? runOrSkip(unavailable, 180_000) : { skip: noBrowser }
const PROVIDER = fileURLToPath(new URL('oidc-provider.ts', import.meta.url))
const TSX = import.meta.resolve('tsx')
const PASSWORD = 'otter violin harbour seven'
const BROWSER_MS = 15_000

/** What a person does before the page of a machine that waits, and who the machine's person is then. */
interface Way {
  readonly name: string
  readonly user: string
  signIn(url: string): Promise<void>
}

test('stock clients log in with a password, a passkey and an account elsewhere', options, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'easy' }, { nat: 'easy' }] })
  t.after(() => lab.close())
  const coord = await startCoord(lab, lab.coord, ['--listen', '0.0.0.0:8480'])
  const browser = await openBrowser(lab, lab.coord)
  t.after(() => browser.close())
  const page = await (await browser.newContext()).newPage()
  page.setDefaultTimeout(BROWSER_MS)
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('WebAuthn.enable')
  await cdp.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  })
  await makePeople(page, coord)
  await addProvider(lab, coord)

  const ways: readonly Way[] = [
    {
      name: 'a password',
      user: 'ines',
      async signIn(url) {
        await page.goto(url)
        await page.getByLabel('Name').fill('ines')
        await page.getByLabel('Password', { exact: true }).fill(PASSWORD)
        await press(page, 'Sign in')
      },
    },
    {
      name: 'a passkey',
      user: 'anna',
      async signIn(url) {
        await page.goto(onItsMachine(url))
        await press(page, 'Use a passkey')
      },
    },
    {
      name: 'an account elsewhere',
      user: 'karin@corp.example',
      async signIn(url) {
        await page.goto(url)
        await press(page, 'Continue with corp')
      },
    },
  ]
  const clients = [
    await startTailscaled(lab, lab.client(0), { version: 'new', hostname: 'stock-new' }),
    await startTailscaled(lab, lab.client(1), { version: 'old', hostname: 'stock-old' }),
  ]
  for (const client of clients)
    for (const way of ways)
      await t.test(`${client.version}: ${way.name}`, async () => {
        await page.context().clearCookies()
        await logsIn(client, coord, way, page)
      })
})

async function logsIn(client: Tailscaled, coord: PeerwayCoord, way: Way, page: Page): Promise<void> {
  const { url, up } = await client.startLogin(coord.url)
  await way.signIn(url)
  await heading(page, `“${client.hostname}” wants to join`)
  await press(page, 'Let this machine in')
  await heading(page, `${client.hostname} is in`)
  assert.equal(await up.exited, 0, up.output)
  assert.equal((await client.status()).BackendState, 'Running')
  const nodes = JSON.parse(await coord.cli('nodes', 'list', '--json')) as readonly {
    readonly user: string
    readonly addresses: readonly string[]
  }[]
  const address = await addressOf(client)
  assert.equal(nodes.find(({ addresses }) => addresses.includes(address))?.user, way.user)
  const logout = await client.cli('logout')
  assert.equal(logout.status, 0, logout.stderr)
}

/** An owner with a password, and a person who is asked in and makes a passkey. */
async function makePeople(page: Page, coord: PeerwayCoord): Promise<void> {
  await page.goto(`${coord.url}/account`)
  await heading(page, 'Make this network yours')
  await page.getByLabel('Setup code').fill((await coord.cli('users', 'setup-code')).trim())
  await page.getByLabel('Name').fill('ines')
  await page.getByLabel('New password').fill(PASSWORD)
  await press(page, 'Create the account')
  await heading(page, 'Your account')
  const { url } = JSON.parse(await coord.cli('users', 'invite', 'anna', '--json')) as { readonly url: string }
  await page.goto(onItsMachine(url))
  await press(page, 'Create a passkey')
  await heading(page, 'All set')
}

async function addProvider(lab: Lab, coord: PeerwayCoord): Promise<void> {
  const redirectUri = `${coord.url}/login/oidc/corp/callback`
  const provider = lab.coord.ns.start([process.execPath, '--import', TSX, PROVIDER, redirectUri], { name: 'provider' })
  const [, issuer = '', id = '', secret = ''] = await provider.waitForOutput(/^ready (\S+) (\S+) (\S+)$/m, 30_000)
  const file = join(lab.dir, 'client-secret')
  writeFileSync(file, `${secret}\n`, { mode: 0o600 })
  const where = ['--issuer', issuer, '--client-id', id, '--client-secret-file', file]
  const added = await coord.cli('oidc', 'add', 'corp', ...where, '--allow-domain', 'corp.example')
  assert.ok(added.includes(redirectUri), added)
}

/** As a browser on the server's machine opens it: a passkey belongs to a name, and an address is none. */
function onItsMachine(url: string): string {
  const there = new URL(url)
  there.hostname = 'localhost'
  return there.href
}

const press = (page: Page, name: string): Promise<void> => page.getByRole('button', { name }).click()
const heading = (page: Page, name: string): Promise<void> => page.getByRole('heading', { level: 1, name }).waitFor()
