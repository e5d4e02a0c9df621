// The console for a person who belongs to several networks of one server.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { firstByPasskey, scene, shoot, skip, visit, withBrowser } from './login-scene.ts'

withBrowser()

test('a person of two networks chooses in which they work', { skip }, async (t) => {
  const { coord, ask, setupCode } = await scene(t)
  const { serverAdmin } = coord
  const first = await ask('ines-laptop')
  const at = await visit(t, first.url)
  await at.page.emulateMedia({ reducedMotion: 'reduce' })
  await firstByPasskey(at, setupCode, 'ines')
  await at.button('Let this machine in').click()
  await first.answer
  await serverAdmin.createTailnet({ name: 'work' })
  await serverAdmin.of('work').createUser({ name: 'boss' })
  await serverAdmin.addMember({ tailnet: 'work', user: 'ines', role: 'admin' })

  await at.page.goto(`${coord.url}/console`)
  await at.page.getByRole('button', { name: /^ines-laptop/ }).waitFor()
  await at.page.getByLabel('Network').selectOption('work')
  await at.page.getByText('No machines yet').waitFor()
  await shoot(at, 'console-networks')
  await at.page.getByRole('link', { name: 'Settings' }).click()
  await at.page.getByLabel('Approval of new machines').selectOption('always')
  await at.page.getByText('Saved.').waitFor()
  assert.equal((await serverAdmin.of('work').settings()).deviceApproval, 'always')
  assert.equal((await coord.admin.settings()).deviceApproval, 'off', 'the other network is as it was')

  // She runs both, so she sees who waits, and lets it into the one she is in.
  const second = await ask('ines-desk')
  await at.page.reload()
  await at.page.getByRole('link', { name: /^Approvals/ }).click()
  await at.page.getByText('ines-desk').first().waitFor()
  await at.button('Let it in').first().click()
  await second.answer
  assert.equal((await serverAdmin.of('work').showNode('ines-desk')).user, 'ines')

  // A change is told as it happens, of the chosen network.
  await serverAdmin.of('work').createAuthKey({ user: 'ines' })
  await at.page.getByRole('link', { name: 'People' }).click()
  await at.page.getByText('boss').first().waitFor()
  await serverAdmin.of('work').createUser({ name: 'karl' })
  await at.page.getByText('karl').first().waitFor()

  // Hers is renamed by her, the other's name only its owner changes.
  await at.page.getByRole('link', { name: 'Settings' }).click()
  await at.page.getByLabel('Approval of new machines').waitFor()
  assert.equal(await at.page.getByLabel('Name of the network').count(), 0)
  await at.page.getByLabel('Network', { exact: true }).selectOption('home')
  await at.page.getByLabel('Name of the network').fill('work')
  await at.button('Rename').click()
  await at.page.getByRole('alert').filter({ hasText: 'work' }).waitFor()
  await at.page.getByLabel('Name of the network').fill('household')
  await at.button('Rename').click()
  await at.page.getByText('It is called household now.').waitFor()
  await shoot(at, 'console-renamed')
  assert.equal((await coord.admin.settings()).tailnet, 'household')
  await at.page.reload()
  await at.page.getByLabel('Name of the network').waitFor()
  await at.page.getByLabel('Network', { exact: true }).selectOption('work')
  await at.page.getByRole('link', { name: 'People' }).click()
  await at.page.getByText('karl').first().waitFor()
  await at.page.setViewportSize({ width: 390, height: 800 })
  const wide = await at.page.evaluate(() => document.documentElement.scrollWidth)
  assert.ok(wide <= 390, `${wide} px wide`)
  await shoot(at, 'console-networks-phone')
})
