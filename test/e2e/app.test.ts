// The real app under a real display server, in a network of its own: its windows, its own network, and a second machine that
// joins it. What is tested is in app-steps.ts, which runs inside the app's namespace: a test driver reaches Electron over
// loopback, and each namespace has its own.

import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { resolveElectron } from '../../build/electron-runtime.mjs'
import { which } from '../../build/run.mjs'
import { labUnavailable, Namespaces, runOrSkip } from '../lab/netns.ts'

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const ARTEFACTS = join(ROOT, 'test', 'artefacts', 'app')

const TEST_MS = 280_000

function unavailable(): string | undefined {
  if (!resolveElectron()) return 'there is no Electron runtime (npm run setup says why)'
  if (!process.env['DISPLAY'] && !which('xvfb-run')) return 'there is no display and no Xvfb'
  return labUnavailable()
}

test('the app: own network, a second machine, copy, off and on', runOrSkip(unavailable(), TEST_MS), async (t) => {
  execFileSync(process.execPath, ['build/bundle.mjs'], { cwd: ROOT, stdio: 'inherit' })
  mkdirSync(ARTEFACTS, { recursive: true })
  const nets = new Namespaces()
  t.after(() => nets.close())
  const [app, peer] = [await nets.create('app'), await nets.create('peer')]
  await nets.veth(
    { ns: app, name: 'eth0', cidrs: ['192.168.77.1/24'] },
    { ns: peer, name: 'eth0', cidrs: ['192.168.77.2/24'] },
  )
  const steps = [process.execPath, '--import', 'tsx', join(ROOT, 'test', 'e2e', 'app-steps.ts')]
  const display = process.env['DISPLAY'] ? [] : ['xvfb-run', '-a', '-s', '-screen 0 1280x900x24']
  const started = app.start([...display, ...steps], {
    name: 'app-steps',
    cwd: ROOT,
    env: {
      PEERWAY_E2E_DIR: nets.dir,
      PEERWAY_E2E_ARTEFACTS: ARTEFACTS,
      PEERWAY_E2E_PEER: peer.name,
      // Its own report, on its own output; the runner above must not take it for one of its files.
      NODE_TEST_CONTEXT: '',
      NODE_OPTIONS: '',
    },
  })
  const status = await started.exited
  process.stdout.write(started.stdout)
  if (status !== 0) throw new Error(`the steps failed (${status}):\n${started.output.slice(-6_000)}`)
})
