// A built folder renewed while others run from it: whoever starts in between finds either all of the old or all of the
// new, and whoever runs already finds for a while yet what it loads late.

import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SetupError } from './run.mjs'
import { filesUnder } from './stamp.mjs'

/** Chunks are loaded on first need, so one that nobody names any more may be wanted by a process that began before. */
const LEFT_MS = 3_600_000
/** Against many builds within that hour. */
const MOST_LEFT = 500
/** A bundling takes seconds; a number of a process may be given out again after a crash. */
const LONGEST_HELD_MS = 300_000
const LOOK_MS = 100

/** What is ours in the folder, and not part of what is built. */
const NEW = 'bundle.new'
const LEFT = 'bundle.left'
const LOCK = 'bundle.lock'
const isOwn = (/** @type {string} */ path) => /^bundle\.[a-z]+(\/|$)/.test(path)

/**
 * Files whose names say their content come first, so that the one that names them is never ahead of them.
 * @param {string} folder
 * @param {ReadonlyMap<string, Uint8Array | string>} files by path below the folder, with slashes
 * @param {number} [nowMs]
 */
export function swapIn(folder, files, nowMs = Date.now()) {
  const fresh = join(folder, NEW)
  rmSync(fresh, { recursive: true, force: true })
  try {
    for (const [path, content] of files) {
      mkdirSync(dirname(join(fresh, path)), { recursive: true })
      writeFileSync(join(fresh, path), content)
    }
    const before = filesUnder(folder, (path) => !isOwn(path)).map((path) => slashed(folder, path))
    const there = new Set(before)
    const ordered = [...files.keys()].sort((a, b) => Number(there.has(a)) - Number(there.has(b)))
    for (const path of ordered) {
      mkdirSync(dirname(join(folder, path)), { recursive: true })
      renameSync(join(fresh, path), join(folder, path))
    }
    dropOld(
      folder,
      before.filter((path) => !files.has(path)),
      nowMs,
    )
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
}

/**
 * Leaves only what was built last, as a package wants it.
 * @param {string} folder
 */
export function dropLeft(folder) {
  for (const path of readLeft(folder).keys()) rmSync(join(folder, path), { force: true })
  rmSync(join(folder, LEFT), { force: true })
}

/**
 * @param {string} folder
 * @param {readonly string[]} outdated
 * @param {number} nowMs
 */
function dropOld(folder, outdated, nowMs) {
  const since = readLeft(folder)
  const left = outdated
    .map((path) => /** @type {const} */ ([path, since.get(path) ?? nowMs]))
    .sort(([, a], [, b]) => b - a)
  // Source maps are for reading stack traces, not for running.
  const isKept = (/** @type {string} */ path, /** @type {number} */ sinceMs, /** @type {number} */ i) =>
    nowMs - sinceMs < LEFT_MS && i < MOST_LEFT && !path.endsWith('.map')
  const kept = left.filter(([path, sinceMs], i) => isKept(path, sinceMs, i))
  const names = new Set(kept.map(([path]) => path))
  for (const path of outdated) if (!names.has(path)) rmSync(join(folder, path), { force: true })
  for (const at of new Set(outdated.map((path) => dirname(path)))) {
    if (at !== '.' && readdirSync(join(folder, at)).length === 0) rmSync(join(folder, at), { recursive: true })
  }
  writeFileSync(join(folder, LEFT), JSON.stringify(Object.fromEntries(kept)))
}

/**
 * When each file that is no longer part of the build stopped to be.
 * @param {string} folder
 * @returns {Map<string, number>}
 */
function readLeft(folder) {
  try {
    return new Map(Object.entries(JSON.parse(readFileSync(join(folder, LEFT), 'utf8'))))
  } catch {
    return new Map() // the first time, or a file that was cut off: all of it counts from now on
  }
}

const slashed = (/** @type {string} */ folder, /** @type {string} */ path) =>
  path.slice(folder.length + 1).replaceAll('\\', '/')

/**
 * One at a time, over all processes; whoever comes second waits, but not for ever.
 * @template T
 * @param {string} folder
 * @param {() => Promise<T>} work
 * @param {{ waitMs?: number }} [options]
 * @returns {Promise<T>}
 */
export async function oneAtATime(folder, work, { waitMs = 120_000 } = {}) {
  mkdirSync(folder, { recursive: true })
  const file = join(folder, LOCK)
  const untilMs = Date.now() + waitMs
  while (!take(file)) {
    if (Date.now() >= untilMs) {
      throw new SetupError(`Process ${holderOf(file)} is at ${folder} already. When it is not, delete ${file}.`)
    }
    await sleep(LOOK_MS)
  }
  try {
    return await work()
  } finally {
    if (holderOf(file) === String(process.pid)) rmSync(file, { force: true })
  }
}

/** @param {string} file */
function take(file) {
  if (isForsaken(file)) rmSync(file, { force: true })
  try {
    const handle = openSync(file, 'wx')
    writeSync(handle, String(process.pid))
    closeSync(handle)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}

/** @param {string} file */
function isForsaken(file) {
  try {
    if (Date.now() - statSync(file).mtimeMs > LONGEST_HELD_MS) return true
    const holder = Number(readFileSync(file, 'utf8'))
    if (holder > 0) process.kill(holder, 0)
    return false
  } catch (error) {
    // EPERM is a living process of somebody else; ENOENT is a lock that was given back meanwhile.
    return error instanceof Error && 'code' in error && error.code === 'ESRCH'
  }
}

/** @param {string} file */
function holderOf(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
