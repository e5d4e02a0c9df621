import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { powerSourceOf, type PowerSupply, readPowerSource } from './power.ts'

const supply = (type: string, more: Partial<PowerSupply> = {}): PowerSupply => ({
  type,
  scope: '',
  online: '',
  status: '',
  present: '',
  ...more,
})

test('a laptop, plugged in and not', () => {
  const plugged = supply('Mains', { online: '1' })
  const unplugged = supply('Mains', { online: '0' })
  const draining = supply('Battery', { status: 'Discharging', present: '1' })
  const full = supply('Battery', { status: 'Full', present: '1' })
  assert.equal(powerSourceOf([plugged, full]), 'mains')
  assert.equal(powerSourceOf([unplugged, draining]), 'battery')
  assert.equal(powerSourceOf([plugged, draining]), 'mains', 'a weak charger')
  assert.equal(powerSourceOf([unplugged, supply('Battery', { status: 'Unknown', present: '1' })]), 'battery')
  assert.equal(powerSourceOf([unplugged, supply('USB', { online: '1' }), draining]), 'mains', 'over USB-C')
  assert.equal(powerSourceOf([draining]), 'battery', 'a machine whose charger is no supply')
  assert.equal(powerSourceOf([full]), 'mains')
})

test('a machine without a battery of its own', () => {
  assert.equal(powerSourceOf([]), 'unknown')
  assert.equal(powerSourceOf([supply('Mains', { online: '1' })]), 'mains')
  const mouse = supply('Battery', { scope: 'Device', status: 'Discharging', present: '1' })
  assert.equal(powerSourceOf([mouse]), 'unknown', "a mouse's battery is not the machine's")
  assert.equal(powerSourceOf([supply('Battery', { status: 'Discharging', present: '0' })]), 'unknown', 'an empty bay')
})

test('reads what the kernel writes, and lives without it', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-power-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const write = (name: string, files: Readonly<Record<string, string>>): void => {
    mkdirSync(join(folder, name))
    for (const [file, content] of Object.entries(files)) writeFileSync(join(folder, name, file), `${content}\n`)
  }
  assert.equal(await readPowerSource(join(folder, 'none')), 'unknown')
  write('AC', { type: 'Mains', online: '0' })
  write('BAT0', { type: 'Battery', status: 'Discharging', present: '1', capacity: '81' })
  assert.equal(await readPowerSource(folder), 'battery')
  writeFileSync(join(folder, 'AC', 'online'), '1\n')
  assert.equal(await readPowerSource(folder), 'mains')
})
