// A backup goes out of the console and comes back, in a real browser.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestMachine } from '../../electron/coord/test-machine.ts'
import { accessible, firstByPasskey, scene, shoot, skip, visit, withBrowser } from './login-scene.ts'

withBrowser()

test('an owner downloads a backup, loses a machine, and gets everything back', { skip }, async (t) => {
  const { coord, ask, setupCode } = await scene(t)
  const first = await ask('ines-laptop')
  const at = await visit(t, first.url)
  await at.page.emulateMedia({ reducedMotion: 'reduce' })
  await firstByPasskey(at, setupCode, 'ines')
  await at.button('Let this machine in').click()
  await first.answer
  const { key } = await coord.admin.createAuthKey({ user: 'ines' })
  const nas = new TestMachine(coord.url, 'nas')
  t.after(() => nas.close())
  await nas.register({ auth: { authKey: key } })

  await at.page.goto(`${coord.url}/console#settings`)
  await at.heading('Settings')
  const [download] = await Promise.all([at.page.waitForEvent('download'), at.button('Download a backup').click()])
  const file = await download.path()
  await coord.admin.deleteNode('nas')

  const chooser = at.page.getByLabel('Choose a backup…')
  await chooser.setInputFiles({ name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('not a backup') })
  await at.page.getByRole('alert').filter({ hasText: 'cannot be used' }).waitFor()
  await chooser.setInputFiles(file)
  await at.page.getByText(/^A backup of /).waitFor()
  await shoot(at, 'console-restore')
  await accessible(at, 'restore')
  const go = at.button('Replace everything')
  assert.ok(await go.isDisabled())
  await at.button('Keep what is here').click()
  await chooser.setInputFiles(file)
  await at.page.getByLabel('Type “replace” to go on').fill('Replace')
  await go.click()
  await at.heading('The backup is in place')
  await shoot(at, 'console-restored')
  await accessible(at, 'restored')
  // While it began anew nobody answered.
  at.trouble.splice(0, at.trouble.length, ...at.trouble.filter((text) => !text.includes('ERR_CONNECTION_')))
  assert.deepEqual((await coord.admin.listNodes()).map(({ name }) => name).toSorted(), ['ines-laptop', 'nas'])

  await at.button('Go on').click()
  await at.heading('Settings')
  await at.page.getByRole('link', { name: 'Machines' }).click()
  await at.page.getByRole('button', { name: /^nas/ }).waitFor()
})
