// `npm start`: the set-up, as far as it is not done, then the app. Without a display the same runs headless, with its
// console on the terminal.

import { join } from 'node:path'
import { resolveElectron } from './electron-runtime.mjs'
import { hasDisplay, sandboxArgs } from './electron-verify.mjs'
import { ROOT, SetupError, become, fail, say } from './run.mjs'
import { setup } from './setup.mjs'

async function start() {
  await setup()
  const args = process.argv.slice(2)
  if (!hasDisplay()) {
    say('There is no display here (DISPLAY and WAYLAND_DISPLAY are not set): starting headless.')
    return become(process.execPath, [join(ROOT, 'build', 'peerway.mjs'), 'start-headless', ...args])
  }
  const electron = resolveElectron()
  if (!electron) throw new SetupError('There is no Electron to open the window with. Run: npm run setup')
  // Electron started from a terminal inside another Electron would otherwise be plain Node.
  const { ELECTRON_RUN_AS_NODE: _, ...env } = process.env
  return become(electron.executable, [...sandboxArgs(), ROOT, ...args], env)
}

await start().catch(fail)
