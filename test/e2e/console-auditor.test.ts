// Who may only look is not offered what the server would refuse: an auditor presses everything there is to press.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestMachine } from '../../electron/coord/test-machine.ts'
import { accessible, firstByPasskey, scene, shoot, skip, visit, withBrowser } from './login-scene.ts'

withBrowser()

const PLACES = ['Machines', 'Approvals', 'People', 'Keys', 'Policy', 'DNS', 'Relays', 'Audit', 'Settings']

test('an auditor sees every page, and nothing that can be pressed is refused', { skip }, async (t) => {
  const { coord, ask, setupCode } = await scene(t)
  const first = await ask('ines-laptop')
  const owner = await visit(t, first.url)
  await firstByPasskey(owner, setupCode, 'ines')
  await owner.button('Let this machine in').click()
  await first.answer
  const { key } = await coord.admin.createAuthKey({ user: 'ines' })
  const nas = new TestMachine(coord.url, 'nas')
  t.after(() => nas.close())
  const hostinfo = { hostname: 'nas', os: 'linux', routableIps: ['192.168.7.0/24'] }
  await nas.register({ auth: { authKey: key }, hostinfo })
  await coord.admin.createAuthKey({ user: 'ines', reusable: true })
  await coord.admin.dns.addRecord({ name: 'printer.corp.example', value: '192.168.7.9' })
  await coord.admin.createUser({ name: 'karin' })
  await coord.admin.createUser({ name: 'audrey', role: 'auditor' })

  const at = await visit(t, (await coord.admin.inviteUser('audrey')).url)
  await at.page.emulateMedia({ reducedMotion: 'reduce' })
  await at.button('Create a passkey').click()
  await at.heading('All set')
  await at.page.goto(`${coord.url}/account`)
  await at.button('Use a passkey').click()
  await at.page.getByText('audrey').first().waitFor()
  const refused: string[] = []
  at.page.on('response', (response) => {
    if (response.status() >= 400) refused.push(`${response.status()} ${response.request().method()} ${response.url()}`)
  })
  await at.page.goto(`${coord.url}/console`)
  let pressed = 0
  for (const place of PLACES) {
    await at.page.getByRole('link', { name: place, exact: false }).first().click()
    await at.heading(place)
    await at.page.getByText('Loading…').waitFor({ state: 'detached' })
    if (place === 'Machines') {
      await at.page.getByRole('button', { name: /^nas/ }).click()
      await at.page.getByText('192.168.7.0/24').waitFor()
    }
    await at.page.getByText('You may look').waitFor()
    await shoot(at, `console-auditor-${place.toLowerCase()}`)
    await accessible(at, `auditor ${place}`)
    if (place === 'Policy') await at.page.locator('textarea').fill('{"acls": []}')
    const main = at.page.locator('main')
    const count = await main.locator('button:enabled').count()
    for (let i = 0; i < count; i++) {
      const button = main.locator('button:enabled').nth(i)
      // Some go away as others are pressed. Twice: some ask before they do.
      if (!(await button.isVisible().catch(() => false))) continue
      await button.click()
      await button.click({ timeout: 500 }).catch(() => {})
      pressed++
    }
    for (const box of await main.locator('input[type=checkbox]:enabled').all()) await box.click({ timeout: 500 })
    for (const select of await main.locator('select:enabled').all()) await select.selectOption({ index: 0 })
    for (const field of await main.locator('form input:not([type=checkbox]):enabled').all()) await field.press('Enter')
  }
  assert.ok(pressed >= 5, `only ${pressed} things could be pressed`)
  assert.deepEqual(refused, [])
  assert.equal((await coord.admin.listNodes()).length, 2)

  await at.page.getByRole('link', { name: 'Audit' }).click()
  const row = at.page.getByRole('row').filter({ hasText: 'user.create' }).filter({ hasText: 'audrey' })
  await row.first().waitFor()
  await owner.page.goto(`${coord.url}/console#audit`)
  await owner.page.getByRole('cell', { name: 'ines-laptop' }).first().waitFor()
})
