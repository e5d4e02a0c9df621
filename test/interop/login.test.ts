// Our agent logs in without a key: the server names a page, someone lets the device in, the waiting `up` comes to its end.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { browserUnavailable, openBrowser } from '../lab/browser.ts'
import { createLab, type LabOptions } from '../lab/lab.ts'
import { addressOf, systemPingUntil } from '../lab/mesh-node.ts'
import { labUnavailable, runOrSkip } from '../lab/netns.ts'
import { peerwayUnavailable, startAgent, startCoord, type PeerwayAgent } from '../lab/peerway.ts'
import { stockUnavailable } from '../stock/binaries.ts'
import { startDerper } from '../stock/derper.ts'
import { startHeadscale } from '../stock/headscale.ts'
import { startTailscaled } from '../stock/tailscaled.ts'

const unavailable = labUnavailable() ?? peerwayUnavailable()
const withHeadscale = runOrSkip(unavailable ?? stockUnavailable('tailscale-old', 'headscale'), 120_000)
const withStock = runOrSkip(unavailable ?? stockUnavailable('tailscale-new'), 120_000)

const noBrowser = browserUnavailable()
const withBrowser = noBrowser
  ? { skip: noBrowser }
  : runOrSkip(unavailable ?? stockUnavailable('tailscale-old'), 120_000)
const BROWSER_MS = 15_000
const PASSWORD = 'otter violin harbour seven'

const LAB: LabOptions = { sites: [{ nat: 'easy' }, { nat: 'easy' }], hosts: ['derp'] }

/** The last part of a login page's address names the login. */
const loginId = (url: string): string => new URL(url).pathname.split('/').at(-1) ?? ''

async function logsInBy(agent: PeerwayAgent, server: string, letIn: (url: string) => Promise<unknown>): Promise<void> {
  const { url, up } = await agent.startLogin(server)
  assert.ok(url.startsWith(`${server}/`), `${url} is no page of the server`)
  const waiting = await agent.status()
  assert.deepEqual([waiting.BackendState, waiting.AuthURL], ['NeedsLogin', url])
  await letIn(url)
  assert.equal(await up.exited, 0, up.output)
  assert.equal((await agent.status()).BackendState, 'Running')
}

test('our agent logs in at a stock server, and again after a logout', withHeadscale, async (t) => {
  const lab = await createLab(LAB)
  t.after(() => lab.close())
  const derper = await startDerper(lab, lab.host('derp'))
  const headscale = await startHeadscale(lab, lab.coord, { derpMap: derper.derpMap })
  const authKey = await headscale.createAuthKey(await headscale.createUser('anna'))
  const stock = await startTailscaled(lab, lab.client(0), { version: 'old', hostname: 'stock' })
  await stock.up({ loginServer: headscale.url, authKey })
  const agent = await startAgent(lab, lab.client(1), { hostname: 'ours' })

  const register = (url: string): Promise<unknown> =>
    headscale.cli('nodes', 'register', '--user', 'anna', '--key', loginId(url))
  await logsInBy(agent, headscale.url, register)
  await systemPingUntil(agent, await addressOf(stock), 10_000)
  const before = await addressOf(agent)

  const logout = await agent.cli('logout')
  assert.equal(logout.status, 0, logout.stderr)
  await logsInBy(agent, headscale.url, register)
  assert.equal(await addressOf(agent), before, 'the same device has the same address')
  await systemPingUntil(stock, before, 10_000)
})

test('our agent and a stock client log in at our server', withStock, async (t) => {
  const lab = await createLab(LAB)
  t.after(() => lab.close())
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const agent = await startAgent(lab, lab.client(0), { hostname: 'ours' })
  const approve = (url: string): Promise<unknown> =>
    coord.cli('nodes', 'approve', '--login', loginId(url), '--user', 'anna')
  await logsInBy(agent, coord.url, approve)

  const stock = await startTailscaled(lab, lab.client(1), { version: 'new', hostname: 'stock' })
  const { url, up } = await stock.startLogin(coord.url)
  await approve(url)
  assert.equal(await up.exited, 0, up.output)
  await systemPingUntil(agent, await addressOf(stock), 10_000)
  await systemPingUntil(stock, await addressOf(agent), 10_000)

  await t.test('a node that the server forgets is told so, and comes back by logging in', async () => {
    await coord.cli('nodes', 'delete', 'ours')
    const gone = await agent.untilState('NeedsLogin', 10_000)
    assert.match((gone.Health ?? []).join(), /does not know this machine any more/)
    await logsInBy(agent, coord.url, approve)
    await systemPingUntil(stock, await addressOf(agent), 10_000)
  })

  await t.test('a node whose key the owner ends has to log in again, and keeps its address', async () => {
    const before = await addressOf(agent)
    await coord.cli('nodes', 'expire', 'ours')
    await agent.untilState('NeedsLogin', 10_000)
    await logsInBy(agent, coord.url, approve)
    assert.equal(await addressOf(agent), before)
    await systemPingUntil(stock, before, 10_000)
  })
})

test(
  'a person makes the first account in a browser and lets our agent and a stock client in',
  withBrowser,
  async (t) => {
    const lab = await createLab(LAB)
    t.after(() => lab.close())
    const coord = await startCoord(lab, lab.coord)
    const [here, there] = [lab.client(0), lab.client(1)]
    const agent = await startAgent(lab, here, { hostname: 'ours' })
    const stock = await startTailscaled(lab, there, { version: 'old', hostname: 'stock' })
    const browser = await openBrowser(lab, here)
    t.after(() => browser.close())
    const page = await browser.newPage()
    page.setDefaultTimeout(BROWSER_MS)
    const press = (name: string): Promise<void> => page.getByRole('button', { name }).click()
    const heading = (text: string | RegExp): Promise<void> =>
      page.getByRole('heading', { level: 1, name: text }).waitFor()

    await logsInBy(agent, coord.url, async (url) => {
      await page.goto(url)
      await heading('Make this network yours')
      await page.getByLabel('Setup code').fill((await coord.cli('users', 'setup-code')).trim())
      await page.getByLabel('Name').fill('ines')
      await page.getByLabel('New password').fill(PASSWORD)
      await press('Create the account')
      await heading('“ours” wants to join')
      await press('Let this machine in')
      await heading('ours is in')
    })

    const { url, up } = await stock.startLogin(coord.url)
    await page.goto(url)
    await heading('“stock” wants to join')
    await press('Let this machine in')
    await heading('stock is in')
    assert.equal(await up.exited, 0, up.output)
    await systemPingUntil(agent, await addressOf(stock), 10_000)
    await systemPingUntil(stock, await addressOf(agent), 10_000)

    const logout = await agent.cli('logout')
    assert.equal(logout.status, 0, logout.stderr)
    const again = await agent.startLogin(coord.url)
    await page.goto(again.url)
    await heading('“ours” wants to join')
    await press('Refuse')
    await heading('Refused')
    assert.equal(await again.up.exited, 1)
    assert.match(again.up.output, /refused.*\[agent\/key-refused\]/)
  },
)
