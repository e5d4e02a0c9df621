// All that stands between a fresh clone and a running app, in order; each step skips what is there.
//
//   node build/setup.mjs                     everything
//   node build/setup.mjs --only=addon,bundle chosen steps
//
// Node built-ins only, here and in what the first steps import: npm packages come in the second step.

import { pathToFileURL } from 'node:url'
import { addon } from './addon.mjs'
import { bundle } from './bundle.mjs'
import { electronRuntime } from './electron-runtime.mjs'
import { checkNode } from './node-version.mjs'
import { npmPackages } from './npm-packages.mjs'
import { SetupError, fail, say } from './run.mjs'
import { systemPackages } from './system-packages.mjs'

/** @type {Record<string, (options: { verbose: boolean }) => Promise<unknown>>} */
const STEPS = {
  system: systemPackages,
  packages: npmPackages,
  addon,
  electron: fetchElectron,
  bundle,
}

/** The command line works without a window, so a runtime that cannot be had is told and no more. */
async function fetchElectron() {
  await electronRuntime().catch((/** @type {unknown} */ error) => {
    if (!(error instanceof SetupError)) throw error
    say(`electron: ${error.message}`)
  })
}

/**
 * @param {{ only?: readonly string[], verbose?: boolean }} [options]
 */
export async function setup({ only = Object.keys(STEPS), verbose = false } = {}) {
  checkNode()
  const unknown = only.find((name) => !STEPS[name])
  if (unknown !== undefined) {
    throw new SetupError(`There is no step "${unknown}". The steps are ${Object.keys(STEPS).join(', ')}.`)
  }
  for (const [name, step] of Object.entries(STEPS)) if (only.includes(name)) await step({ verbose })
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const only = process.argv.find((arg) => arg.startsWith('--only='))?.slice('--only='.length)
  await setup({ ...(only ? { only: only.split(',') } : {}), verbose: true })
    .then(() => say('setup: done'))
    .catch(fail)
}
