// Does this Electron start here? Asked once per runtime: a missing library shows itself now, with its name, and not as a
// window that never comes.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { capture, which } from './run.mjs'

/** Chromium's sandbox refuses to run as root. */
export const sandboxArgs = () => (process.platform === 'linux' && process.getuid?.() === 0 ? ['--no-sandbox'] : [])

export const hasDisplay = () =>
  process.platform !== 'linux' || Boolean(process.env['DISPLAY'] || process.env['WAYLAND_DISPLAY'])

const MAIN = `
  const { app, BrowserWindow } = require('electron')
  app.disableHardwareAcceleration()
  app.whenReady().then(async () => {
    const window = new BrowserWindow({ show: false, webPreferences: { sandbox: true } })
    await window.loadURL('data:text/html,<title>ready</title>')
    console.log('title:' + window.getTitle())
    app.exit(0)
  })
`

/**
 * @param {{ executable: string, version: string }} runtime
 * @returns {Promise<string | undefined>} what is wrong
 */
export async function verify({ executable, version }) {
  const asked = capture(executable, ['--version', ...sandboxArgs()], { timeoutMs: 30_000 })
  if (!asked.stdout.includes(version)) return asked.stderr.trim() || `it calls itself ${asked.stdout.trim()}`
  const xvfb = which('xvfb-run')
  if (!hasDisplay() && !xvfb) return undefined // A machine without a display has no window to open.

  const app = mkdtempSync(join(tmpdir(), 'peerway-electron-'))
  try {
    writeFileSync(join(app, 'package.json'), '{"name":"check","main":"main.cjs"}')
    writeFileSync(join(app, 'main.cjs'), MAIN)
    const run = [executable, ...sandboxArgs(), `--user-data-dir=${join(app, 'data')}`, app]
    const [program = executable, ...args] = hasDisplay() ? run : [xvfb ?? '', '-a', ...run]
    const done = capture(program, args, { timeoutMs: 60_000 })
    return done.ok && done.stdout.includes('title:ready') ? undefined : done.stderr.trim().slice(-2_000) || 'no window'
  } finally {
    rmSync(app, { recursive: true, force: true })
  }
}
