// `npm run check`: everything that must hold before a change goes in. All checks run even when an early one fails.
//   --no-tests   the static checks alone

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT, fail, say, show } from './run.mjs'
import { setup } from './setup.mjs'

const bin = (/** @type {string} */ name) =>
  join(ROOT, 'node_modules', '.bin', process.platform === 'win32' ? `${name}.cmd` : name)
const manifest = ['--manifest-path', 'native/Cargo.toml']

/** @type {[string, string, string[]][]} */
const CHECKS = [
  ['format', bin('oxfmt'), ['--check', '.']],
  ['lint', bin('oxlint'), ['--type-aware', '--deny-warnings']],
  ['import rule', process.execPath, ['build/import-rule.mjs']],
  ['types', bin('tsc'), ['--noEmit']],
]
if (existsSync(join(ROOT, 'native', 'Cargo.toml'))) {
  CHECKS.push(
    ['rust format', 'cargo', ['fmt', ...manifest, '--all', '--check']],
    ['clippy', 'cargo', ['clippy', ...manifest, '--workspace', '--all-targets', '--locked', '--', '-D', 'warnings']],
  )
}
if (!process.argv.includes('--no-tests')) CHECKS.push(['tests', process.execPath, ['build/test.mjs']])

async function main() {
  await setup({ only: ['system', 'packages'] })
  /** @type {string[]} */
  const failed = []
  for (const [name, program, args] of CHECKS) {
    say(`\n=== ${name} ===`)
    if ((await show(program, args, { timeoutMs: 3_000_000 })) !== 0) failed.push(name)
  }
  if (failed.length > 0) {
    say(`\ncheck: failed: ${failed.join(', ')}`)
    process.exitCode = 1
  } else say('\ncheck: all is well')
}

await main().catch(fail)
