// The steps of app-relay.test.ts, run inside the namespace of a home computer.

import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { after, test } from 'node:test'
import { App } from './app-driver.ts'

const env = (name: string): string => process.env[name] ?? assert.fail(`${name} is not set`)
const dir = env('PEERWAY_E2E_DIR')
mkdirSync(dir, { recursive: true })
const app = await App.start({ stateDir: dir, tunName: 'pwapp0', artefacts: env('PEERWAY_E2E_ARTEFACTS') })
after(() => app.quit())

const step = (name: string, work: () => Promise<void>): void => void test(name, { timeout: 90_000 }, work)

step('the app joins with a key', async () => {
  await app.button(/Join a network/).click()
  await app.page.getByLabel('Address or invite').fill(env('PEERWAY_E2E_SERVER'))
  await app.button('Use a key instead').click()
  await app.page.getByLabel('Key', { exact: true }).fill(env('PEERWAY_E2E_KEY'))
  await app.button('Join with this key').click()
  await app.row(/^hard-one/).waitFor()
  await app.row(/^hard-two/).waitFor()
})

step('one switch makes it a relay, and the router lets others in', async () => {
  await app.button(/^This PC gives/).click()
  await app.page.getByRole('switch', { name: 'Relay for other machines' }).click()
  await app.page.getByText('Relay is on', { exact: true }).first().waitFor()
  await app.page.getByText('The router forwards this port to it (UPnP).').waitFor()
  await app.button('Run now').click()
  await app.page.getByText('Others can reach this relay: yes').waitFor()
  await app.picture('13-relay-tested')
  process.stdout.write('relaying\n')
})

step('the pair that comes over it is seen, with names and rate', async () => {
  await app.page.getByText(/^Carrying 1 pair/).waitFor({ timeout: 60_000 })
  await app.page.getByText(/hard-(one|two) and hard-(one|two)/).waitFor()
  await app.picture('14-relay-carrying')
  await app.page.keyboard.press('Escape')
  await app.button('This PC gives Relay, carrying 1 pair').waitFor()
  await app.picture('15-serving')
})
