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

const choose = (label: string, option: string): Promise<unknown> =>
  app.page.getByLabel(label, { exact: true }).selectOption({ label: option })

step('outside its hours it pauses, says why, and goes on when they are taken back', async () => {
  await app.button(/^This PC gives/).click()
  await choose('Hours', 'Other hours…')
  const hour = (ahead: number): string => `${String((new Date().getHours() + ahead) % 24).padStart(2, '0')}:00`
  const field = app.page.getByLabel('Hours of the relay')
  await field.fill('at night')
  await app.button('Set').click()
  await app.page.getByText('"at night" are no hours', { exact: false }).waitFor()
  await field.fill(`${hour(2)}-${hour(4)}`)
  await app.button('Set').click()
  await app.page.getByText('Relay is paused', { exact: true }).first().waitFor()
  await app.page.getByText(/^Relays again (today|tomorrow) at /).waitFor()
  await app.page.getByText(/Who is carried now goes on until /).waitFor()
  await app.picture('16-relay-paused')
  await choose('Hours', 'Always')
  await app.page.getByText('Relay is on', { exact: true }).first().waitFor()
})

step('a month has a limit, and the router is not asked any more', async () => {
  await choose('Each month', '20 GB')
  await app.page.getByText(/ of 20 GB used, renews /).waitFor()
  const asks = app.page.getByRole('switch', { name: 'Ask the router for ports' })
  await asks.click()
  await app.page.getByText(/is not asked for one of its own/).waitFor()
  await app.picture('17-relay-unasked')
  await asks.click()
  await app.page.getByText('The router forwards this port to it (UPnP).').waitFor()
})
