// What Electron runs when it is started with the folder of an app: `electron --no-sandbox /path/to/app`. Every Electron
// download has such a program in resources/default_app.asar; the runtime taken from an npm package has not, and gets this one.

import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { app } from 'electron'

const args = process.argv.slice(1)
if (args.includes('--version') || args.includes('-v')) {
  console.log(`v${process.versions.electron}`)
  process.exit(0)
}

/** @type {string[]} modules to load before the app, as with node: test drivers hook in by them */
const preloads = []
/** @type {string | undefined} */
let folder
for (let at = 0; at < args.length; at += 1) {
  const arg = args[at] ?? ''
  if (arg === '-r' || arg === '--require') preloads.push(args[(at += 1)] ?? '')
  else if (!arg.startsWith('-')) {
    folder = resolve(arg)
    break
  }
}
if (folder === undefined) {
  console.error('electron: which app? Name its folder.')
  process.exit(1)
}

/** @type {{ main?: string, name?: string, productName?: string, version?: string }} */
const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
app.setName(manifest.productName ?? manifest.name ?? 'Electron')
// Electron's own starter uses these two as well; its published types leave them out.
const inside = /** @type {Electron.App & { setVersion(version: string): void, setAppPath(path: string): void }} */ (app)
if (manifest.version) inside.setVersion(manifest.version)
inside.setAppPath(folder)
Object.assign(process, { defaultApp: true })

const require = createRequire(join(folder, 'package.json'))
for (const preload of preloads) require(preload)
await import(pathToFileURL(join(folder, manifest.main ?? 'index.js')).href)
