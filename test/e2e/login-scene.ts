// A coordination server, and browsers with an authenticator that visit its pages.
//
// PEERWAY_SHOTS=/some/folder keeps a picture of each page in both themes.

import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, type TestContext } from 'node:test'
import { chromium, type Browser, type BrowserContext, type CDPSession, type Page } from 'playwright-core'
import { systemClock, type Clock } from '../../electron/base/clock.ts'
import { startCoord, type CoordOptions, type CoordServer } from '../../electron/coord/coord-server.ts'
import { TestMachine } from '../../electron/coord/test-machine.ts'

const CHROMIUM = process.env['PEERWAY_CHROMIUM'] ?? '/usr/bin/chromium'
export const skip = existsSync(CHROMIUM) ? false : `there is no Chromium at ${CHROMIUM} (package chromium)`
const SHOTS = process.env['PEERWAY_SHOTS']
export const PASSWORD = 'otter violin harbour seven'
const WAIT_MS = 10_000

let browser: Browser | undefined
/** Call once in each test file. */
export function withBrowser(): void {
  before(async () => {
    if (skip !== false) return
    // A closed network answers lookups of the browser's own services with refusals, many a second.
    const quiet = ['--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-quic']
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ['--no-sandbox', '--disable-gpu', '--no-first-run', ...quiet],
    })
  })
  after(() => browser?.close())
}

export interface Scene {
  readonly coord: CoordServer
  /** As the server's terminal shows it. */
  readonly setupCode: string
  /** Moves the server's clock on. */
  readonly later: (ms: number) => void
  /** A machine that asks to join; its page and the answer it waits for. */
  readonly ask: (hostname?: string) => Promise<{ url: string; answer: ReturnType<TestMachine['register']> }>
}

/** A server of its own. */
export async function scene(t: TestContext, host = 'localhost'): Promise<Scene> {
  const stateDir = mkdtempSync(join(tmpdir(), 'peerway-login-'))
  t.after(() => rmSync(stateDir, { recursive: true, force: true }))
  // Its port is known only once it listens, so it starts twice: passkeys need the name in its URL.
  const first = await startCoord({ stateDir, listen: { host: '127.0.0.1', port: 0 }, prepare })
  const { port } = first
  await first.close()
  const listen = { host: '127.0.0.1', port }
  let skewMs = 0
  const clock: Clock = {
    now: () => systemClock.now() + skewMs,
    wallNow: () => systemClock.wallNow() + skewMs,
    after: (ms, callback) => systemClock.after(ms, callback),
  }
  const coord = await startCoord({ stateDir, listen, url: `http://${host}:${port}`, prepare, clock })
  // A page that still asks for something when its server has gone would be told so, and count as trouble.
  t.after(async () => {
    for (const context of contexts.get(t) ?? []) await context.close()
    await coord.close()
  })
  return {
    coord,
    setupCode: (await coord.admin.setupCode())?.code ?? '',
    later: (ms) => (skewMs += ms),
    async ask(hostname = 'ines-laptop') {
      const machine = new TestMachine(`http://127.0.0.1:${port}`, hostname)
      t.after(() => machine.close())
      const { authUrl } = await machine.register()
      const answer = machine.register({ followup: authUrl })
      answer.catch(() => {}) // of tests that end before it does
      return { url: authUrl, answer }
    },
  }
}

/** The open browsers of each test, which end before its server does. */
const contexts = new WeakMap<TestContext, readonly BrowserContext[]>()

const prepare: CoordOptions['prepare'] = async () => ({ derpMap: { regions: new Map() } })

export interface Visit {
  readonly page: Page
  readonly context: BrowserContext
  readonly cdp: CDPSession
  readonly authenticator: string
  /** What a page should not have said; empty in the end. */
  readonly trouble: string[]
  /** One more; its id. */
  addAuthenticator(): Promise<string>
  button(name: string | RegExp): ReturnType<Page['getByRole']>
  heading(text: string | RegExp): Promise<void>
}

/** A browser of its own, with an authenticator that knows its user. */
export async function visit(t: TestContext, url: string, isPhone = false): Promise<Visit> {
  assert.ok(browser)
  const context = await browser.newContext({
    viewport: isPhone ? { width: 380, height: 760 } : { width: 1060, height: 800 },
    deviceScaleFactor: SHOTS === undefined ? 1 : 2,
  })
  contexts.set(t, [...(contexts.get(t) ?? []), context])
  t.after(() => context.close())
  const page = await context.newPage()
  page.setDefaultTimeout(WAIT_MS)
  page.on('console', (message) => {
    // Refusals are answers here; what must not be is a script, style or font that the policy stops.
    if (message.type() === 'error' && !message.text().includes('status of 4')) trouble.push(message.text())
  })
  page.on('pageerror', (error) => trouble.push(error.message))
  const trouble: string[] = []
  t.after(() => assert.deepEqual(trouble, []))
  const cdp = await context.newCDPSession(page)
  await cdp.send('WebAuthn.enable')
  const addAuthenticator = async (): Promise<string> => {
    const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', {
      options: {
        protocol: 'ctap2',
        transport: 'internal',
        hasResidentKey: true,
        hasUserVerification: true,
        isUserVerified: true,
        automaticPresenceSimulation: true,
      },
    })
    return authenticatorId
  }
  const authenticator = await addAuthenticator()
  await page.goto(url)
  return {
    page,
    context,
    cdp,
    authenticator,
    trouble,
    addAuthenticator,
    button: (name) => page.getByRole('button', { name }),
    heading: (text) => page.getByRole('heading', { level: 1, name: text }).waitFor(),
  }
}

export async function shoot({ page }: Visit, name: string): Promise<void> {
  if (SHOTS === undefined) return
  mkdirSync(SHOTS, { recursive: true })
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    await page.evaluate(() => document.fonts.ready.then(() => undefined))
    await page.screenshot({ path: join(SHOTS, `${name}-${colorScheme}.png`), fullPage: true })
  }
}

/** Signs up the first account with a passkey, and stops at the decision. */
export async function firstByPasskey(at: Visit, setupCode: string, name: string): Promise<void> {
  await at.heading('Make this network yours')
  await at.page.getByLabel('Setup code').fill(setupCode)
  await at.page.getByLabel('Name').fill(name)
  await at.button('Create with a passkey').click()
  await at.heading(/wants to join/)
}

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js')

interface Finding {
  readonly id: string
  readonly impact: string | null
  readonly nodes: readonly { readonly html: string }[]
}

/** What a screen reader or a keyboard would stumble over. */
export async function accessible({ page, cdp }: Visit, name: string): Promise<void> {
  // The page's own policy lets no script in; the debugger does.
  await cdp.send('Runtime.evaluate', { expression: readFileSync(AXE, 'utf8') })
  const found = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: { run(): Promise<{ violations: Finding[] }> } }
    return (await axe.run()).violations
  })
  const serious = found.filter(({ impact }) => impact === 'serious' || impact === 'critical')
  assert.deepEqual(
    serious.map(({ id, nodes }) => `${name}: ${id} ${nodes[0]?.html ?? ''}`),
    [],
  )
}
