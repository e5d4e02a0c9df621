// Does this desktop show tray icons? Windows and macOS always do; on Linux someone on the session bus must offer to.

import { execFile } from 'node:child_process'

const ASK_MS = 1_500
const WATCHER = 'org.kde.StatusNotifierWatcher'

export function hasTrayHost(): Promise<boolean> {
  if (process.platform !== 'linux') return Promise.resolve(true)
  if (!process.env['DBUS_SESSION_BUS_ADDRESS']) return Promise.resolve(false)
  const question = ['--session', '--print-reply', '--dest=org.freedesktop.DBus', '/org/freedesktop/DBus']
  const args = [...question, 'org.freedesktop.DBus.NameHasOwner', `string:${WATCHER}`]
  return new Promise((resolve) => {
    execFile('dbus-send', args, { timeout: ASK_MS }, (error, stdout) => {
      // Nobody could be asked: then rather no note than a wrong one.
      if (error && 'code' in error && error.code === 'ENOENT') resolve(true)
      else resolve(!error && /boolean true/.test(stdout))
    })
  })
}
