// npm packages, exactly as the lock file names them.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT, SetupError, say, show } from './run.mjs'

/** @typedef {{ packages?: Record<string, { version?: string, optional?: boolean, devOptional?: boolean }> }} Lock */

/**
 * Whether node_modules holds what the lock file names. npm writes the same kind of file inside node_modules as the last
 * act of an install, so no stamp of ours is needed. Optional packages for other systems are not there by design.
 * @param {Lock} lock
 * @param {Lock} installed
 */
export function packagesAreCurrent(lock, installed) {
  const have = installed.packages ?? {}
  const want = Object.entries(lock.packages ?? {}).filter(([path]) => path !== '')
  const isMissing = want.some(([path, { version, optional }]) => {
    const there = have[path]
    return there ? there.version !== version : !optional
  })
  return want.length > 0 && !isMissing && Object.keys(have).every((path) => lock.packages?.[path])
}

/**
 * @param {string} file
 * @returns {Lock}
 */
const readLock = (file) => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {})

export async function npmPackages() {
  const lock = readLock(join(ROOT, 'package-lock.json'))
  if (packagesAreCurrent(lock, readLock(join(ROOT, 'node_modules', '.package-lock.json')))) return
  say('packages: npm ci')
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  if ((await show(npm, args, { timeoutMs: 900_000 })) !== 0) {
    throw new SetupError('npm ci failed. Is the npm registry reachable? Its own words are above.')
  }
}
