// The steps of app.test.ts, run inside the app's namespace. They build on each other, as the days of a new user do.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { LabProcess, tryRun, until } from '../lab/process.ts'
import { App, type AppPlaces, type TrayEntry } from './app-driver.ts'

const CLI = fileURLToPath(new URL('../../build/peerway.mjs', import.meta.url))
const env = (name: string): string => process.env[name] ?? assert.fail(`${name} is not set`)
const dir = env('PEERWAY_E2E_DIR')
const artefacts = env('PEERWAY_E2E_ARTEFACTS')
const inPeer = ['ip', 'netns', 'exec', env('PEERWAY_E2E_PEER')]

const places: AppPlaces = { stateDir: join(dir, 'app'), tunName: 'pwapp0', artefacts }
const peerSocket = join(dir, 'peer', 'agent.sock')
let app = await App.start(places)
let agent: LabProcess | undefined
let work: LabProcess | undefined
const WORK_URL = 'http://192.168.77.2:9480'

after(async () => {
  await agent?.stop()
  await work?.stop()
  await app.quit()
})

const step = (name: string, work: () => Promise<void>): void => void test(name, { timeout: 90_000 }, work)

const peerCli = (...args: readonly string[]) =>
  tryRun([...inPeer, process.execPath, CLI, '--socket', peerSocket, ...args], { timeoutMs: 60_000 })

const canPing = (address: string): boolean =>
  spawnSync('ping', ['-n', '-c', '1', '-W', '2', address], { stdio: 'ignore' }).status === 0

step('a first start offers two choices', async () => {
  await app.button(/Start my own network/).waitFor()
  await app.button(/Join a network/).waitFor()
  await app.picture('1-first-run')
})

step('the page has no Node, no network and no way out', async () => {
  const found = await app.page.evaluate(async () => ({
    globals: ['require', 'process', 'module', 'Buffer'].filter((name) => name in globalThis),
    bridge: Object.keys(window.peerway).toSorted(),
    fetched: await fetch('http://192.168.77.1/').then(
      () => true,
      () => false,
    ),
    opened: window.open('https://example.org') !== null,
    inlineRan: (() => {
      const script = document.createElement('script')
      script.textContent = 'document.documentElement.dataset.inlineRan = "yes"'
      document.body.append(script)
      return document.documentElement.dataset['inlineRan'] === 'yes'
    })(),
  }))
  assert.deepEqual(found, {
    globals: [],
    bridge: ['call', 'onEvent', 'onOpen', 'onOwnNetwork', 'onSnapshot'],
    fetched: false,
    opened: false,
    inlineRan: false,
  })
  const reply = await app.page.evaluate(() => window.peerway.call('shell.copy', { text: '' }))
  assert.deepEqual(reply.ok ? undefined : reply.code, 'contract/bad-argument')
})

step('one click makes a network and joins it', async () => {
  await app.button(/Start my own network/).click()
  await app.page.getByText('Only this computer so far').first().waitFor({ timeout: 60_000 })
  assert.equal(await app.plate.getAttribute('aria-checked'), 'true')
  await app.page.getByText('100.64.0.1', { exact: true }).waitFor()
  await app.picture('2-own-network')
})

step('the owner is asked to set up a sign-in, which opens in the browser', async () => {
  // Nobody offers a tray on this bare display: that note comes first, once.
  await app.button('Dismiss').click()
  await app.catchBrowser()
  await app.button('Set up sign-in').click()
  const url = await app.openedPage(/^http:\/\/localhost:\d+\/enrol\//)
  assert.equal((await fetch(url)).status, 200)
})

step('a second machine joins with the invite and appears with its path', async () => {
  await app.button('Add a machine').click()
  await app.button('Copy the invite line').first().click()
  await until(async () => (await app.clipboard()).startsWith('peerway up '), {
    what: 'the invite on the clipboard',
    timeoutMs: 5_000,
  })
  const line = await app.clipboard()
  await app.picture('3-invite')
  const found = /--login-server (http:\/\/192\.168\.77\.1:\d+) --auth-key (\S+)$/.exec(line)
  assert.ok(found, line)
  const [, server = '', key = ''] = found

  const start = ['agent', '--state', join(dir, 'peer'), '--socket', peerSocket, '--tun', 'pwpeer0']
  agent = new LabProcess([...inPeer, process.execPath, CLI, ...start], {
    name: 'peer-agent',
    env: { PEERWAY_LOG: 'info' },
    logFile: join(dir, 'peer-agent.log'),
  })
  await agent.waitForOutput(/^ready/m, 20_000)
  const up = await peerCli(
    'up',
    '--login-server',
    server,
    '--auth-key',
    key,
    '--hostname',
    'second',
    '--timeout',
    '30s',
  )
  assert.equal(up.status, 0, up.stderr)

  await app.button('Back').click()
  await app.row(/^second/).waitFor()
  // Packets make the path: an idle machine has none.
  await until(() => Promise.resolve(canPing('100.64.0.2')), { what: 'the first answer', timeoutMs: 20_000 })
  await app.row(/^second, Linux, direct, on the same network, .*millisecond/).waitFor()
  await app.picture('4-peer-direct')
})

step('its address is copied, and answers', async () => {
  await app.row(/^second/).hover()
  await app.button('Copy the address of second').click()
  await app.page.getByText('100.64.0.2 copied').first().waitFor()
  assert.equal(await app.clipboard(), '100.64.0.2')
  assert.ok(canPing('100.64.0.2'), 'the second machine answers through the tunnel')
})

step('its page says how it is reached, and measures', async () => {
  await app.row(/^second/).click()
  await app.page.getByText('second.home.peerway.internal').waitFor()
  await app.button('Measure now').click()
  await app.page
    .getByText(/^Answered in /)
    .first()
    .waitFor()
  await app.page.getByText('Path, last 10 min').waitFor()
  await app.page
    .getByText(/^Direct: /)
    .first()
    .waitFor()
  const policy = app.page.getByLabel('How to reach this machine')
  await policy.selectOption('Only direct')
  const told = await tryRun([process.execPath, CLI, '--socket', app.socket, 'path', 'second'])
  assert.match(told.stdout, /only direct|only-direct/i, told.stderr)
  assert.equal(await policy.inputValue(), 'only-direct')
  await policy.selectOption('As for all')
  await app.picture('5-peer-page')
  await app.page.keyboard.press('Escape')
})

step('the keyboard does it all: search, arrows, copy', async () => {
  await app.page.keyboard.press('/')
  await app.page.keyboard.type('sec')
  await app.page.keyboard.press('ArrowDown')
  await app.page.keyboard.press('n')
  await until(async () => (await app.clipboard()) === 'second.home.peerway.internal', {
    what: 'the name on the clipboard',
    timeoutMs: 5_000,
  })
  await app.page.keyboard.press('/')
  await app.page.keyboard.press('Escape')
})

step('off means off, and on again brings the same machine back', async () => {
  await app.plate.click()
  await app.page.getByText('Not connected').first().waitFor()
  await app.page.getByText('100.64.0.2', { exact: true }).waitFor()
  await app.picture('6-off')
  assert.ok(!canPing('100.64.0.2'), 'nothing passes while off')
  await app.page.keyboard.press('Control+k')
  await app.page.getByText('1 of 1 online').waitFor({ timeout: 30_000 })
  await until(() => Promise.resolve(canPing('100.64.0.2')), { what: 'an answer after reconnecting', timeoutMs: 30_000 })
  await app.row(/^second, Linux, direct/).waitFor({ timeout: 30_000 })
  await app.picture('7-on-again')
})

step('this computer relays for others, with one switch, and stops', async () => {
  const relay = app.page.getByRole('switch', { name: 'Relay for other machines' })
  const told = async (): Promise<string> => {
    const { status, stdout, stderr } = await tryRun([process.execPath, CLI, '--socket', app.socket, 'relay', 'status'])
    assert.equal(status, 0, stderr)
    return stdout
  }
  await app.button(/^This PC gives/).click()
  await app.page.getByText('Relay is off').waitFor()
  await relay.click()
  await app.page.getByText('Relay is on', { exact: true }).first().waitFor()
  await app.page.getByText('192.168.77.1:').first().waitFor()
  await app.page.getByLabel('Rate').selectOption('20 Mbit/s')
  await app.picture('8-relay')
  await until(async () => /Relaying on UDP port \d+, at most 2\.5 MB\/s/.test(await told()), {
    what: 'the command line to say the same',
    timeoutMs: 10_000,
  })
  await app.page.keyboard.press('Escape')
  await app.button('This PC gives Relay').waitFor()
  await app.button(/^This PC gives/).click()
  await relay.click()
  await app.page.getByText('Relay is off', { exact: true }).first().waitFor()
  assert.match(await told(), /does not relay/)
  await app.page.keyboard.press('Escape')
  await app.button('This PC gives Nothing').waitFor()
})

step('the theme follows the choice at once, and the next start remembers it', async () => {
  await app.button('Menu').click()
  await app.page.getByRole('menuitemradio', { name: 'Dark' }).click()
  const isDark = (): Promise<boolean> => app.page.evaluate(() => matchMedia('(prefers-color-scheme: dark)').matches)
  await until(isDark, { what: 'the dark theme', timeoutMs: 5_000 })
  await app.picture('9-dark')
})

step('the command line talks to the app', async () => {
  const status = await tryRun([process.execPath, CLI, '--socket', app.socket, 'status'])
  assert.equal(status.status, 0, status.stderr)
  assert.match(status.stdout, /second/)
})

step('a machine that asks for itself is let in from the window', async () => {
  assert.equal((await peerCli('logout')).status, 0)
  await app.catchNotifications()
  const args = ['--socket', peerSocket, 'up', '--login-server', 'http://192.168.77.1:8480', '--timeout', '60s']
  const asking = new LabProcess([...inPeer, process.execPath, CLI, ...args], {
    name: 'peer-up',
    logFile: join(dir, 'peer-up.log'),
  })
  await app.page.getByText('“second” wants to join').first().waitFor({ timeout: 20_000 })
  await app.picture('10-waiting')
  await app.button('Look').click()
  const sheet = app.page.getByRole('dialog')
  await app.page.keyboard.press('Escape')
  await sheet.waitFor({ state: 'hidden' })
  assert.deepEqual(await app.clickNotification(), ['“second” wants to join Home'])
  await sheet.getByText('192.168.77.2').waitFor()
  await sheet.getByRole('button', { name: 'Let it in' }).click()
  await app.page.getByText('second is in').first().waitFor()
  assert.equal(await asking.exited, 0, asking.output)
  await app.page.getByText('1 of 1 online').waitFor({ timeout: 30_000 })
})

step('a second network is joined beside the first, and changed between', async () => {
  const state = join(dir, 'work')
  const serve = ['coord', 'serve', '--listen', '192.168.77.2:9480', '--url', WORK_URL, '--state', state, '--tls', 'off']
  work = new LabProcess([...inPeer, process.execPath, CLI, ...serve], { name: 'work', logFile: join(dir, 'work.log') })
  await work.waitForOutput(/^ready/m, 20_000)
  const coord = (...args: readonly string[]) =>
    tryRun([...inPeer, process.execPath, CLI, 'coord', ...args, '--state', state], { timeoutMs: 30_000 })
  assert.equal((await coord('users', 'create', 'ines')).status, 0)
  const { key } = JSON.parse((await coord('auth-keys', 'create', '--user', 'ines', '--json')).stdout) as { key: string }

  await app.button(/^Network: /).click()
  await app.page.getByRole('menuitem', { name: 'Add a network' }).click()
  await app.page.getByLabel('Address or invite').fill(WORK_URL)
  await app.button('Use a key instead').click()
  await app.page.getByLabel('Key', { exact: true }).fill(key)
  await app.button('Join with this key').click()
  await app.page.getByText('Only this computer so far').first().waitFor({ timeout: 60_000 })
  await app.page.getByText('ines · 192.168.77.2:9480').first().waitFor()
  assert.equal(await app.row(/^second/).count(), 0, 'nothing of the other network is shown')

  await app.button(/^Network: /).click()
  await app.picture('11-networks')
  const before = Date.now()
  await app.page.getByRole('menuitemradio').first().click()
  await app.page.getByText('1 of 1 online').waitFor({ timeout: 30_000 })
  assert.ok(Date.now() - before < 3_000, `changing took ${Date.now() - before} ms`)
  await app.page.keyboard.press('Control+2')
  await app.page.getByText('Only this computer so far').first().waitFor({ timeout: 30_000 })
  await app.catchTrayMenu()
  await app.page.keyboard.press('Control+1')
  await app.page.getByText('1 of 1 online').waitFor({ timeout: 30_000 })
})

step('the tray changes networks, and adds another', async () => {
  const inTray = (): Promise<readonly TrayEntry[]> => app.trayEntries(/^Network: /)
  await until(async () => (await inTray())[0]?.checked, { what: 'the tick in the tray', timeoutMs: 10_000 })
  const [home, other] = await inTray()
  assert.deepEqual([home?.label, home?.checked], ['Home, owner', true])
  assert.deepEqual([other?.label, other?.checked], ['home.peerway.internal, ines', false])
  await app.clickTray(/^Network: /, /, ines$/)
  await app.page.getByText('Only this computer so far').first().waitFor({ timeout: 30_000 })
  await until(async () => (await inTray())[1]?.checked, { what: 'the other tick in the tray', timeoutMs: 10_000 })
  await app.clickTray(/^Network: /, /^Add a network/)
  await app.page.getByLabel('Address or invite').waitFor()
  await app.page.keyboard.press('Escape')
})

step('after a restart it is in the network it was changed to', async () => {
  await app.quit()
  app = await App.start(places)
  await app.page.getByText('ines · 192.168.77.2:9480').first().waitFor({ timeout: 30_000 })
  await app.page.getByText('Only this computer so far').first().waitFor({ timeout: 30_000 })
  await app.page.keyboard.press('Control+1')
  await app.page.getByText('1 of 1 online').waitFor({ timeout: 30_000 })
  assert.ok(canPing('100.64.0.2'))
})

step('closing the window leaves everything on; a second start brings it back', async () => {
  const isVisible = (): Promise<boolean> =>
    app.electron.evaluate(({ BrowserWindow }) => BrowserWindow.getAllWindows()[0]?.isVisible() === true)
  await app.electron.evaluate(({ BrowserWindow }) => BrowserWindow.getAllWindows()[0]?.close())
  await until(async () => !(await isVisible()), { what: 'the window to go', timeoutMs: 5_000 })
  assert.ok(canPing('100.64.0.2'))
  await assert.rejects(App.start(places), 'a second app hands over and ends')
  await until(isVisible, { what: 'the window to come back', timeoutMs: 10_000 })
})

step('the next start goes on where this one stopped', async () => {
  await app.quit()
  assert.ok(!existsSync(join('/sys/class/net', places.tunName)), 'the device is gone')
  app = await App.start(places)
  await app.page.getByText('1 of 1 online').waitFor({ timeout: 60_000 })
  await until(() => Promise.resolve(canPing('100.64.0.2')), { what: 'an answer after the restart', timeoutMs: 30_000 })
  assert.ok(await app.page.evaluate(() => matchMedia('(prefers-color-scheme: dark)').matches))
})

step('wrong servers and wrong keys are told in words, and what was typed stays', async () => {
  const other = await App.start({ stateDir: join(dir, 'other'), tunName: 'pwother0', artefacts })
  try {
    await other.button(/Join a network/).click()
    const address = other.page.getByLabel('Address or invite')
    await address.fill('no server')
    await other.button('Sign in with the browser').click()
    await other.page.getByText('This is not an address.').waitFor()
    await address.fill('http://192.168.77.1:8480')
    await other.button('Use a key instead').click()
    await other.page.getByLabel('Key', { exact: true }).fill('pwkey-auth-wrong-wrong')
    await other.button('Join with this key').click()
    await other.page.getByText('The server did not take the key').waitFor()
    await other.button('Details').click()
    await other.page.getByText('agent/key-refused').waitFor()
    assert.equal(await address.inputValue(), 'http://192.168.77.1:8480')
    await other.picture('10-wrong-key')

    await other.catchBrowser()
    await other.button('Sign in with the browser instead').click()
    await other.button('Try again').click()
    await other.page.getByText('Finish in your browser').waitFor()
    const url = await other.openedPage(/^http:\/\/192\.168\.77\.1:8480\/login\//)
    assert.equal((await fetch(url)).status, 200)
    await other.picture('11-login')
    await other.button('Cancel').click()
    await address.fill('http://192.168.77.99:8480')
    await other.button('Sign in with the browser').click()
    await other.page
      .getByText(/does not answer|cannot be reached|No server/)
      .first()
      .waitFor({ timeout: 30_000 })
    await other.picture('12-no-server')
  } finally {
    await other.quit()
  }
})
