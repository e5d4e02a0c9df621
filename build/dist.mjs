// `npm run dist`: the app as a folder under dist/ that runs without this checkout.
//   npm run dist -- deb AppImage    packages instead; electron-builder fetches its own tools for those

import { join } from 'node:path'
import { dropOlderBundles } from './bundle.mjs'
import { resolveElectron } from './electron-runtime.mjs'
import { ROOT, SetupError, fail, show } from './run.mjs'
import { setup } from './setup.mjs'

async function main() {
  await setup()
  dropOlderBundles()
  const electron = resolveElectron()
  if (!electron) throw new SetupError('There is no Electron runtime to package. Run: npm run setup')
  const targets = process.argv.slice(2)
  const system = process.platform === 'darwin' ? '--mac' : process.platform === 'win32' ? '--win' : '--linux'
  const builder = join(ROOT, 'node_modules', 'electron-builder', 'cli.js')
  const args = [
    builder,
    system,
    ...(targets.length > 0 ? targets : ['dir']),
    `--config=build/electron-builder.json`,
    // The very runtime that the tests ran on, and nothing fetched.
    `-c.electronDist=${electron.dist}`,
    `-c.electronVersion=${electron.version}`,
    '--publish=never',
  ]
  process.exitCode = await show(process.execPath, args, { timeoutMs: 1_800_000 })
}

await main().catch(fail)
