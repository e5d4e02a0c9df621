// electron-builder leaves these two of an unpacked runtime in the app: the starter for apps in development, and a file that
// only this folder's scripts read.

import { rmSync } from 'node:fs'
import { join } from 'node:path'

/** @param {{ appOutDir: string, electronPlatformName: string }} context */
export default function afterPack({ appOutDir, electronPlatformName }) {
  if (electronPlatformName === 'darwin') return
  rmSync(join(appOutDir, 'resources', 'default_app.asar'), { recursive: true, force: true })
  rmSync(join(appOutDir, 'version'), { force: true })
}
