import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { placeEntry } from './electron-from-npm.mjs'
import { downloadFailedLately, resolveElectron } from './electron-runtime.mjs'

function places(t: TestContext) {
  const root = mkdtempSync(join(tmpdir(), 'peerway-electron-'))
  t.after(() => rmSync(root, { recursive: true, force: true }))
  const put = (path: string, text: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  const runtime = (path: string, version: string) => {
    put(`${path}/electron`, '')
    put(`${path}/version`, version)
  }
  const env: NodeJS.ProcessEnv = {}
  const where = {
    env,
    packageDir: join(root, 'package'),
    cacheDir: join(root, 'cache'),
    platform: 'linux',
    arch: 'x64',
  }
  return { root, put, runtime, where }
}

test('prefers the named folder, then the download, then the cached runtime', (t) => {
  const { root, put, runtime, where } = places(t)
  assert.equal(resolveElectron(where), undefined)

  runtime('cache/33.2.1', '33.2.1')
  assert.equal(resolveElectron(where)?.source, 'npm')

  runtime('package/dist', 'v41.0.0\n')
  assert.equal(resolveElectron(where)?.source, 'npm', 'a download without path.txt is not whole')
  put('package/path.txt', 'electron')
  const downloaded = resolveElectron(where)
  assert.equal(downloaded?.source, 'download')
  assert.equal(downloaded?.version, '41.0.0')

  runtime('mine', '42.0.0')
  where.env['ELECTRON_OVERRIDE_DIST_PATH'] = join(root, 'mine')
  assert.deepEqual(resolveElectron(where), {
    executable: join(root, 'mine', 'electron'),
    dist: join(root, 'mine'),
    version: '42.0.0',
    source: 'override',
  })
})

test('asks the executable for its version where no file names it', (t) => {
  const { root, put, where } = places(t)
  put('mine/electron', '#!/bin/sh\necho v43.1.0\n')
  chmodSync(join(root, 'mine', 'electron'), 0o755)
  where.env['ELECTRON_OVERRIDE_DIST_PATH'] = join(root, 'mine')
  assert.equal(resolveElectron(where)?.version, '43.1.0')
})

test('a named folder without Electron is an error, not a reason to look elsewhere', (t) => {
  const { root, runtime, where } = places(t)
  runtime('cache/33.2.1', '33.2.1')
  where.env['ELECTRON_OVERRIDE_DIST_PATH'] = join(root, 'empty')
  assert.throws(() => resolveElectron(where), /ELECTRON_OVERRIDE_DIST_PATH is .*empty/)
})

test('a refused download is remembered for a day', (t) => {
  const { root, put, where } = places(t)
  const now = Date.UTC(2025, 0, 2)
  assert.equal(downloadFailedLately(where, now), false)
  put('cache/download-failed', 'refused')
  const at = (ageHours: number) => {
    const when = new Date(now - ageHours * 3_600_000)
    utimesSync(join(root, 'cache', 'download-failed'), when, when)
    return downloadFailedLately(where, now)
  }
  assert.equal(at(1), true)
  assert.equal(at(25), false)
})

test('the runtime is taken without the application that came with it', () => {
  assert.equal(placeEntry('Cypress/Cypress'), 'electron')
  assert.equal(placeEntry('Cypress/locales/de.pak'), 'locales/de.pak')
  assert.equal(placeEntry('Cypress/v8_context_snapshot.bin'), 'v8_context_snapshot.bin')
  for (const name of ['Cypress/resources/app/package.json', 'Cypress/browser_v8_context_snapshot.bin', 'README']) {
    assert.equal(placeEntry(name), undefined, name)
  }
})

test('the starter of that runtime is plain JavaScript that names no file of ours', () => {
  const source = readFileSync(new URL('default-app/main.mjs', import.meta.url), 'utf8')
  assert.doesNotMatch(source, /from '\.|import\('\./)
})
