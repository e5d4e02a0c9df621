import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { silentLogger } from '../base/log.ts'
import { SettingsFile } from './settings.ts'

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-settings-'))
  try {
    await work(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const usual = { theme: 'system', bounds: undefined, noTrayRead: false }

test('what was changed is there at the next start', () =>
  inFolder(async (folder) => {
    const file = new SettingsFile(folder, silentLogger)
    assert.deepEqual(file.now, usual)
    const bounds = { x: -10, y: 20, width: 400, height: 700 }
    file.update({ theme: 'dark' })
    file.update({ bounds })
    await file.settled()
    assert.deepEqual(new SettingsFile(folder, silentLogger).now, { theme: 'dark', bounds, noTrayRead: false })
  }))

test('a damaged file is kept aside and does not stop a start', () =>
  inFolder(async (folder) => {
    writeFileSync(join(folder, 'window.json'), '{"theme": "da')
    const file = new SettingsFile(folder, silentLogger)
    assert.deepEqual(file.now, usual)
    file.update({ noTrayRead: true })
    await file.settled()
    assert.equal(readFileSync(join(folder, 'window.json.damaged'), 'utf8'), '{"theme": "da')
  }))

test('values that make no sense count as not set', () =>
  inFolder(async (folder) => {
    for (const text of [
      'null',
      '[]',
      '7',
      '{"theme":"pink","bounds":{"x":"1"},"noTrayRead":"yes"}',
      '{"bounds":{"x":1e9}}',
    ]) {
      writeFileSync(join(folder, 'window.json'), text)
      assert.deepEqual(new SettingsFile(folder, silentLogger).now, usual, text)
    }
  }))
