// Bundles the sources into out/:
//
//   out/cli/main.mjs       the command line and the headless agent, for plain Node; out/cli.mjs starts it
//   out/app/main.mjs       the Electron main process
//   out/app/preload.cjs    its preload, sandboxed: CommonJS
//   out/app/renderer/      the window: index.html, main.js, main.css, fonts
//   out/coord-web/         scripts and styles of the coordination server's pages
//
// Everything for Node lies two folders deep, as the sources electron/PART/FILE.ts do: '../../native/peerway.node' and
// '../../out/coord-web/' mean the same from a source, from a bundle and inside the packaged app. What a dynamic import
// loads becomes a file of its own beside its bundle, so that a quick command stays quick.
// electron itself and packages with native parts stay outside.

import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ROOT, SetupError, fail, say } from './run.mjs'
import { filesUnder, hashOf, isStamped, stamp } from './stamp.mjs'

/** @typedef {import('esbuild').BuildOptions} BuildOptions */

const OUT = join(ROOT, 'out')
const STAMP = join(OUT, 'bundle.hash')

/** @type {BuildOptions} */
const shared = {
  absWorkingDir: ROOT,
  bundle: true,
  write: false, // all or nothing: what ran before keeps running when a source does not compile
  sourcemap: 'linked',
  legalComments: 'none',
  logLevel: 'silent',
  loader: { '.woff2': 'file', '.png': 'file', '.svg': 'file' },
  assetNames: 'assets/[name]-[hash]',
}

/** @type {BuildOptions} */
const forNode = {
  ...shared,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  splitting: true,
  outExtension: { '.js': '.mjs' },
  external: ['electron', 'libsql', '@node-rs/argon2', '*.node'],
  // CommonJS packages inside an ES module still call require for Node's own modules.
  banner: {
    js: "import { createRequire as nodeRequire } from 'node:module'\nconst require = nodeRequire(import.meta.url)",
  },
}

/** @type {BuildOptions} */
const forBrowsers = {
  ...shared,
  platform: 'browser',
  format: 'esm',
  target: 'es2022',
  minify: true,
  jsx: 'automatic',
  define: { 'process.env.NODE_ENV': '"production"' },
}

/**
 * The scripts of the coordination server's pages: one bundle per file at the top of its folder.
 * @param {string} root
 */
function coordPages(root) {
  const folder = join(root, 'electron', 'coord', 'web')
  if (!existsSync(folder)) return []
  return readdirSync(folder).filter((name) => /\.(ts|tsx|css)$/.test(name) && !/\.(test|d)\.tsx?$/.test(name))
}

/** @typedef {BuildOptions & { entryPoints: string[] }} Bundle */

/** @returns {Bundle[]} */
function bundles() {
  return [
    { ...forNode, entryPoints: ['electron/cli/main.ts'], outdir: 'out/cli' },
    { ...forNode, entryPoints: ['electron/shell/main.ts'], outdir: 'out/app' },
    {
      ...shared,
      entryPoints: ['electron/shell/preload.ts'],
      outfile: 'out/app/preload.cjs',
      platform: 'node',
      format: 'cjs',
      target: 'node20',
      external: ['electron'],
    },
    { ...forBrowsers, entryPoints: ['renderer/main.tsx'], outfile: 'out/app/renderer/main.js' },
    ...coordBundles(),
  ]
}

/** @returns {Bundle[]} */
function coordBundles() {
  const pages = coordPages(ROOT).map((name) => ({
    ...forBrowsers,
    entryPoints: [`electron/coord/web/${name}`],
    outfile: `out/coord-web/${name.replace(/\.tsx?$/, '.js')}`,
  }))
  return [...pages, { ...forBrowsers, entryPoints: ['renderer/console/main.tsx'], outfile: 'out/coord-web/console.js' }]
}

/**
 * The coordination server's pages in memory, for a server that runs from sources.
 * @returns {Promise<Map<string, Uint8Array>>} by path below out/coord-web/
 */
export async function coordWeb() {
  const { build } = await import('esbuild')
  const done = await Promise.all(coordBundles().map((options) => build(options)))
  const root = join(OUT, 'coord-web')
  return new Map(
    done.flatMap(({ outputFiles = [] }) =>
      outputFiles.map(({ path, contents }) => [relative(root, path).replaceAll('\\', '/'), contents]),
    ),
  )
}

/** Files that are copied as they are. @type {readonly [string, string][]} */
const COPIES = [
  ['renderer/index.html', 'out/app/renderer/index.html'],
  ['electron/shell/assets', 'out/app/assets'],
]

/** @param {string} path */
const isInput = (path) =>
  !/\.test\.tsx?$/.test(path) && (/^(electron|renderer)\//.test(path) || path === 'build/bundle.mjs')

export async function bundle() {
  const inputs = ['electron', 'renderer', 'build'].flatMap((folder) =>
    filesUnder(join(ROOT, folder), (path) => isInput(`${folder}/${path}`)),
  )
  const hash = hashOf(ROOT, [...inputs, join(ROOT, 'package.json'), join(ROOT, 'package-lock.json')])
  if (isStamped(STAMP, hash)) return

  const { build } = await import('esbuild')
  const startedMs = Date.now()
  const present = bundles().filter(({ entryPoints }) => {
    const isThere = entryPoints.every((entry) => existsSync(join(ROOT, entry)))
    if (!isThere) say(`bundle: ${entryPoints.join(' ')} does not exist yet, skipped`)
    return isThere
  })
  const done = await Promise.allSettled(present.map((options) => build(options)))
  const problems = done.flatMap((one) => (one.status === 'rejected' ? [String(one.reason?.message ?? one.reason)] : []))
  if (problems.length > 0) throw new SetupError(problems.join('\n'))

  rmSync(OUT, { recursive: true, force: true })
  for (const { path, contents } of done.flatMap((one) =>
    one.status === 'fulfilled' ? (one.value.outputFiles ?? []) : [],
  )) {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, contents)
  }
  if (existsSync(join(OUT, 'cli', 'main.mjs'))) writeFileSync(join(OUT, 'cli.mjs'), "import './cli/main.mjs'\n")
  mkdirSync(join(OUT, 'app', 'renderer'), { recursive: true })
  for (const [from, to] of COPIES) {
    if (!existsSync(join(ROOT, from))) continue
    if (basename(from).includes('.')) copyFileSync(join(ROOT, from), join(ROOT, to))
    else cpSync(join(ROOT, from), join(ROOT, to), { recursive: true })
  }
  stamp(STAMP, hash)
  say(`bundle: ${present.length} built in ${Date.now() - startedMs} ms`)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await bundle().catch(fail)
