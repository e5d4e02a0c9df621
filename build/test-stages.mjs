// The stages of `npm test`. Each answers its counts; what a stage prints goes straight to the terminal.

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { resolveElectron } from './electron-runtime.mjs'
import { hasDisplay } from './electron-verify.mjs'
import { ROOT, capture, say, show, which } from './run.mjs'
import { filesUnder } from './stamp.mjs'

/** @typedef {import('./test-counts.mjs').Counts} Counts */

/**
 * @typedef {object} Stage
 * @property {readonly string[]} folders whose *.test.ts files are its tests
 * @property {number} atOnce test files run side by side
 * @property {number} testMs the longest that one file may take
 * @property {number} stageMs the longest that all may take: nothing here may hang a build machine
 * @property {() => string | undefined} [obstacle] why it cannot run here
 */

/** @type {Record<string, Stage>} */
export const NODE_STAGES = {
  unit: { folders: ['electron', 'renderer', 'build'], atOnce: 2, testMs: 120_000, stageMs: 900_000 },
  lab: { folders: ['test/lab', 'test/load'], atOnce: 1, ...labTimes(), obstacle: noNamespaces },
  e2e: { folders: ['test/e2e'], atOnce: 1, testMs: 300_000, stageMs: 900_000, obstacle: noWindow },
  interop: { folders: ['test/interop'], atOnce: 1, testMs: 900_000, stageMs: 1_800_000, obstacle: noNamespaces },
}

/** PEERWAY_LAB=whole has every cell of the NAT matrix, in one file. */
function labTimes() {
  const isWhole = process.env['PEERWAY_LAB'] === 'whole'
  return { testMs: isWhole ? 1_800_000 : 300_000, stageMs: isWhole ? 5_400_000 : 2_400_000 }
}

/** Network namespaces, made and deleted once: being root in a container is not always enough. */
function noNamespaces() {
  if (process.platform !== 'linux') return 'network namespaces exist on Linux only'
  if (process.getuid?.() !== 0) return 'network namespaces need root (sudo npm run test:lab)'
  if (!which('ip')) return 'there is no "ip" command (package iproute2)'
  if (!existsSync('/dev/net/tun')) return 'there is no /dev/net/tun'
  const name = `pw-probe-${process.pid}`
  const made = capture('ip', ['netns', 'add', name])
  if (!made.ok) return `network namespaces are not allowed here: ${made.stderr.trim()}`
  capture('ip', ['netns', 'delete', name])
  return undefined
}

function noWindow() {
  if (!resolveElectron()) return 'there is no Electron runtime (npm run setup says why)'
  return hasDisplay() || which('xvfb-run') ? undefined : 'there is no display and no Xvfb (package xvfb)'
}

/**
 * @param {string} name of the stage
 * @param {readonly string[]} filters parts of file names; none means all
 * @returns {Promise<Counts>}
 */
export async function nodeStage(name, filters) {
  const stage = NODE_STAGES[name]
  if (!stage) throw new Error(`no stage ${name}`)
  const files = stage.folders
    .flatMap((folder) => filesUnder(join(ROOT, folder), (path) => /\.test\.(ts|tsx|mjs)$/.test(path)))
    .map((path) => relative(ROOT, path))
    .filter((path) => filters.length === 0 || filters.some((filter) => path.includes(filter)))
  if (files.length === 0) {
    say(`${name}: no tests${filters.length > 0 ? ` match ${filters.join(' ')}` : ''}`)
    return { passed: 0, failed: 0, skipped: 0 }
  }
  const obstacle = stage.obstacle?.()
  if (obstacle !== undefined) {
    say(`${name}: ${files.length} files skipped: ${obstacle}`)
    // A build machine that silently tests less is worse than one that fails.
    return process.env['CI']
      ? { passed: 0, failed: files.length, skipped: 0 }
      : { passed: 0, failed: 0, skipped: files.length }
  }

  const work = mkdtempSync(join(tmpdir(), 'peerway-test-'))
  try {
    const report = join(work, 'counts.json')
    const limits = `--test-concurrency=${stage.atOnce} --test-timeout=${stage.testMs}`
    const reporters = '--test-reporter=spec --test-reporter-destination=stdout --test-reporter=./build/test-counts.mjs'
    const flags = `--import tsx --test ${limits} ${reporters}`.split(' ')
    const args = [...flags, `--test-reporter-destination=${report}`, ...files]
    const withXvfb = name === 'e2e' && !hasDisplay()
    const screen = ['-a', '-s', '-screen 0 1280x900x24', process.execPath]
    const status = withXvfb
      ? await show('xvfb-run', [...screen, ...args], { timeoutMs: stage.stageMs })
      : await show(process.execPath, args, { timeoutMs: stage.stageMs })
    const written = existsSync(report) ? readFileSync(report, 'utf8') : ''
    /** @type {Counts} */
    const counts = written === '' ? { passed: 0, failed: 0, skipped: 0 } : JSON.parse(written)
    return status === 0 ? counts : { ...counts, failed: Math.max(counts.failed, 1) }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/**
 * Cargo's own lines, one per test program: "test result: ok. 12 passed; 0 failed; 1 ignored; …".
 * @param {string} output
 * @returns {Counts}
 */
export function cargoCounts(output) {
  const sum = { passed: 0, failed: 0, skipped: 0 }
  for (const [, passed, failed, ignored] of output.matchAll(
    /^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored/gm,
  )) {
    sum.passed += Number(passed)
    sum.failed += Number(failed)
    sum.skipped += Number(ignored)
  }
  return sum
}

/**
 * @param {readonly string[]} filters
 * @returns {Promise<Counts>}
 */
export async function rustStage(filters) {
  if (!existsSync(join(ROOT, 'native', 'Cargo.toml'))) return { passed: 0, failed: 0, skipped: 0 }
  let output = ''
  // Cargo takes one filter; its dev profile keeps overflow checks and assertions, which the release build drops.
  const args = ['test', '--locked', '--workspace', '--manifest-path', 'native/Cargo.toml', ...filters.slice(0, 1)]
  const status = await show('cargo', args, { timeoutMs: 1_800_000, seen: (chunk) => void (output += chunk) })
  const counts = cargoCounts(output)
  return { ...counts, failed: status === 0 ? counts.failed : Math.max(counts.failed, 1) }
}
