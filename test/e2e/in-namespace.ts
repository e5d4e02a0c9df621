// Steps at the real app run in a process inside the app's network namespace: the driver reaches Electron over loopback, and
// each namespace has its own.

import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { resolveElectron } from '../../build/electron-runtime.mjs'
import { which } from '../../build/run.mjs'
import { labUnavailable, type Namespace } from '../lab/netns.ts'
import type { LabProcess } from '../lab/process.ts'

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const ARTEFACTS = join(ROOT, 'test', 'artefacts', 'app')

export function appUnavailable(): string | undefined {
  if (!resolveElectron()) return 'there is no Electron runtime (npm run setup says why)'
  if (!process.env['DISPLAY'] && !which('xvfb-run')) return 'there is no display and no Xvfb'
  return labUnavailable()
}

/** Starts a file of this folder; `dir` is for the state of what it starts. */
export function startSteps(
  ns: Namespace,
  file: string,
  dir: string,
  env: Readonly<Record<string, string>> = {},
): LabProcess {
  execFileSync(process.execPath, ['build/bundle.mjs'], { cwd: ROOT, stdio: 'inherit' })
  mkdirSync(ARTEFACTS, { recursive: true })
  const steps = [process.execPath, '--import', 'tsx', join(ROOT, 'test', 'e2e', file)]
  const display = process.env['DISPLAY'] ? [] : ['xvfb-run', '-a', '-s', '-screen 0 1280x900x24']
  return ns.start([...display, ...steps], {
    name: file.replace(/\.ts$/, ''),
    cwd: ROOT,
    env: {
      PEERWAY_E2E_DIR: dir,
      PEERWAY_E2E_ARTEFACTS: ARTEFACTS,
      ...env,
      // Its own report, on its own output; the runner above must not take it for one of its files.
      NODE_TEST_CONTEXT: '',
      NODE_OPTIONS: '',
    },
  })
}

/** Shows their report; throws when one of them failed. */
export async function stepsDone(steps: LabProcess): Promise<void> {
  const status = await steps.exited
  process.stdout.write(steps.stdout)
  if (status !== 0) throw new Error(`the steps failed (${status}):\n${steps.output.slice(-6_000)}`)
}
