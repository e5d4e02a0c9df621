// The web console of a real server in a real browser: who sees it, and a day's work in it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestMachine } from '../../electron/coord/test-machine.ts'
import { accessible, firstByPasskey, scene, shoot, skip, visit, withBrowser } from './login-scene.ts'

withBrowser()

test('who runs the network signs in and does a day’s work in the console', { skip }, async (t) => {
  const { coord, ask, setupCode } = await scene(t)
  const first = await ask('ines-laptop')
  const at = await visit(t, `${coord.url}/console`)
  // Colours on their way to others are judged by nobody.
  await at.page.emulateMedia({ reducedMotion: 'reduce' })
  await at.heading('Sign in')
  await shoot(at, 'console-sign-in')
  await accessible(at, 'sign-in')
  await at.page.goto(first.url)
  await firstByPasskey(at, setupCode, 'ines')
  await at.button('Let this machine in').click()
  await first.answer
  const { key } = await coord.admin.createAuthKey({ user: 'ines' })
  const nas = new TestMachine(coord.url, 'nas')
  t.after(() => nas.close())
  await nas.register({
    auth: { authKey: key },
    hostinfo: { hostname: 'nas', os: 'linux', routableIps: ['192.168.7.0/24'] },
  })

  await at.page.goto(`${coord.url}/console`)
  await at.heading('Machines')
  await at.page.getByRole('button', { name: 'nas', exact: false }).waitFor()
  await shoot(at, 'console-machines')
  await accessible(at, 'machines')

  await t.test('a machine is renamed, its route approved, and all of it stands in the audit log', async () => {
    await at.page.getByRole('button', { name: /^nas/ }).click()
    await at.page.getByText('192.168.7.0/24').waitFor()
    await shoot(at, 'console-machine')
    await accessible(at, 'machine')
    await at.button('Approve').click()
    await at.button('Revoke').waitFor()
    await at.page.getByLabel('Name', { exact: true }).fill('attic')
    await at.button('Rename').click()
    await at.page.getByRole('button', { name: /^attic/ }).waitFor()
    const node = await coord.admin.showNode('attic')
    assert.equal(node.hostname, 'nas')
    assert.deepEqual(
      (await coord.admin.routes.list('attic')).map(({ route, state }) => [route, state]),
      [['192.168.7.0/24', 'approved']],
    )
    await at.page.getByRole('link', { name: 'Audit' }).click()
    await at.page.getByText('node.rename').waitFor()
    await shoot(at, 'console-audit')
    const log = await coord.admin.auditSince(0)
    assert.ok(log.some(({ action, actor }) => action === 'node.rename' && /^user:1 from 127\.0\.0\.1$/.test(actor)))
  })

  await t.test('a machine that asks meanwhile appears by itself, and is let in', async () => {
    await at.page.getByRole('link', { name: 'Machines' }).click()
    const third = await ask('karin-pixel')
    await at.page.reload()
    await at.page.getByText('karin-pixel', { exact: false }).waitFor()
    await at.button('Let it in').click()
    assert.equal((await third.answer).login.loginName, 'ines')
    await at.page.getByRole('button', { name: /^karin-pixel/ }).waitFor()
  })

  await t.test('a person is invited, a key is made, a name is added', async () => {
    await at.page.getByRole('link', { name: 'People' }).click()
    await at.page.getByLabel('Invite somebody').fill('karin')
    await at.button('Invite').click()
    const link = at.page.getByText(/\/enrol\//)
    await link.waitFor()
    await shoot(at, 'console-people')
    await accessible(at, 'people')
    assert.ok((await coord.admin.listUsers()).some(({ name, role }) => name === 'karin' && role === 'member'))
    await at.page.getByRole('link', { name: 'Keys' }).click()
    await at.button('Make a key').click()
    await at.page.getByText(/peerway up --login-server/).waitFor()
    await shoot(at, 'console-keys')
    await accessible(at, 'keys')
    await at.page.getByRole('link', { name: 'DNS' }).click()
    await at.page.getByLabel('Name', { exact: true }).fill('printer.corp.example')
    await at.page.getByLabel('Address', { exact: true }).fill('192.168.1.20')
    await at.button('Add').click()
    await at.page.getByText('printer.corp.example').first().waitFor()
    await shoot(at, 'console-dns')
    await accessible(at, 'dns')
    await at.page.getByRole('link', { name: 'Relays' }).click()
    await at.heading('Relays')
    await shoot(at, 'console-relays')
    await accessible(at, 'relays')
  })

  await t.test('a policy shows where it is wrong, then what it changes, and then is in force', async () => {
    await at.page.getByRole('link', { name: 'Policy' }).click()
    const editor = at.page.getByLabel('Policy, in HuJSON')
    await editor.fill('{\n  "acls": [{"action": "perhaps"}],\n}')
    await at.button('What would change?').click()
    await at.page
      .getByText(/Line 2, column/)
      .first()
      .waitFor()
    await shoot(at, 'console-policy-wrong')
    await at.page.getByRole('button', { name: 'Line 2, column' }).first().click()
    assert.equal(await editor.evaluate((field) => (field as HTMLTextAreaElement).value.slice(0, 2)), '{\n')
    assert.equal(await editor.evaluate((field) => field === document.activeElement), true)
    await editor.fill('')
    await editor.pressSequentially('{"acls": [{"src": ["kar')
    await at.page.getByRole('option', { name: 'karin@' }).waitFor()
    await shoot(at, 'console-policy-words')
    await accessible(at, 'policy words')
    await editor.press('Enter')
    assert.equal(await editor.inputValue(), '{"acls": [{"src": ["karin@"')
    await editor.pressSequentially(', "autogroup:')
    await editor.press('ArrowDown')
    await editor.press('Tab')
    assert.equal(await editor.inputValue(), '{"acls": [{"src": ["karin@", "autogroup:member"')
    await editor.press('Control+z')
    assert.notEqual(await editor.inputValue(), '{"acls": [{"src": ["karin@", "autogroup:member"')
    await editor.fill('{\n  // Nobody reaches anybody.\n  "acls": [],\n}')
    await at.button('What would change?').click()
    await at.page.getByRole('columnheader', { name: 'Loses' }).waitFor()
    await shoot(at, 'console-policy')
    await accessible(at, 'policy')
    await at.button('Put in force').click()
    await at.page.getByText(/Revision 1, put in force .* by ines/).waitFor()
    assert.match((await coord.admin.policy.get()).text, /Nobody reaches/)
  })

  await t.test('new machines need approval, wait, and are approved; a person gets another role', async () => {
    await at.page.getByRole('link', { name: 'Settings' }).click()
    await at.heading('Settings')
    await at.page.getByLabel('Approval of new machines').selectOption('always')
    await at.page.getByText('Saved.').waitFor()
    await shoot(at, 'console-settings')
    await accessible(at, 'settings')
    const [download] = await Promise.all([at.page.waitForEvent('download'), at.button('Download a backup').click()])
    assert.match(download.suggestedFilename(), /^peerway-coord-\d{4}-\d\d-\d\d\.backup$/)
    await download.delete()
    const late = new TestMachine(coord.url, 'late')
    t.after(() => late.close())
    const { key } = await coord.admin.createAuthKey({ user: 'ines' })
    assert.equal((await late.register({ auth: { authKey: key } })).machineAuthorized, false)
    await at.page.getByRole('link', { name: 'Approvals' }).click()
    await at.button('Approve late').waitFor()
    await shoot(at, 'console-approvals')
    await accessible(at, 'approvals')
    await at.button('Approve late').click()
    await at.page.getByText('Nothing waits').waitFor()
    assert.equal((await coord.admin.showNode('late')).approved, true)
    await at.page.getByRole('link', { name: 'People' }).click()
    await at.page.getByLabel('Role of karin').selectOption('auditor')
    await at.page.getByText('karin is auditor now.').waitFor()
    await at.page.getByLabel('Role of karin').selectOption('member')
    await at.page.getByText('karin is member now.').waitFor()
    await at.page.getByLabel('Role of ines').selectOption('member')
    await at.page.getByText(/last owner/).waitFor()
  })

  await t.test('a region is added to where machines meet, and removed', async () => {
    await at.page.getByRole('link', { name: 'Relays' }).click()
    await at.page.getByText('There is none').waitFor()
    await at.page.getByLabel('Short name').fill('fra')
    await at.page.getByLabel('Host').fill('derp.example.org:8443')
    await at.page.getByLabel('Certificate, if self-signed').fill(`sha256-raw:${'ab'.repeat(32)}`)
    await at.button('Add a region').click()
    await at.page.getByText('derp.example.org:8443').waitFor()
    await at.page.getByText('certificate pinned').waitFor()
    await shoot(at, 'console-relays')
    await accessible(at, 'relays')
    await at.button('Remove').click()
    await at.button('Remove fra').click()
    await at.page.getByText('There is none').waitFor()
  })

  await t.test('every page fits a phone and a wide screen', async () => {
    for (const width of [390, 1280]) {
      await at.page.setViewportSize({ width, height: 800 })
      for (const name of ['Machines', 'Approvals', 'People', 'Keys', 'Policy', 'DNS', 'Relays', 'Audit', 'Settings']) {
        const link = at.page.getByRole('link', { name, exact: false }).first()
        if (!(await link.isVisible())) {
          await at.button('More').click()
          if (name === 'DNS') await shoot(at, 'console-phone-more')
          if (name === 'DNS') await accessible(at, 'more')
        }
        await link.click()
        await at.heading(name)
        await at.page.getByText('Loading…').waitFor({ state: 'detached' })
        const wide = await at.page.evaluate(() => document.documentElement.scrollWidth)
        assert.ok(wide <= width, `${name} is ${wide} px wide at ${width}`)
        await shoot(at, `console-${width}-${name.toLowerCase()}`)
        await accessible(at, `${name} at ${width}`)
      }
    }
  })

  await t.test('it fits a phone', async () => {
    await at.page.setViewportSize({ width: 380, height: 760 })
    await at.page.getByRole('link', { name: 'Machines' }).click()
    await at.heading('Machines')
    await at.page.getByRole('button', { name: /^attic/ }).waitFor()
    const wide = await at.page.evaluate(() => document.documentElement.scrollWidth)
    assert.ok(wide <= 380, `${wide} px wide`)
    await shoot(at, 'console-phone')
    await accessible(at, 'phone')
  })

  await t.test('a member sees who to ask, and nothing else', async () => {
    const member = await visit(t, (await coord.admin.inviteUser('karin')).url)
    await member.button('Create a passkey').click()
    await member.heading('All set')
    await member.page.goto(`${coord.url}/account`)
    await member.button('Use a passkey').click()
    await member.page.getByText('karin').first().waitFor()
    await member.page.goto(`${coord.url}/console`)
    await member.heading('Not for members')
    await shoot(member, 'console-member')
    const statuses = await member.page.evaluate(async () =>
      Promise.all(
        ['/nodes', '/users', '/policy', '/audit'].map(async (path) => (await fetch(`/api/v1${path}`)).status),
      ),
    )
    assert.deepEqual(statuses, [403, 403, 403, 403])
  })
})
