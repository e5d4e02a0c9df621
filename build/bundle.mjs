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
// loads becomes a file of its own beside its bundle, so that a quick command stays quick. What runs from there meanwhile goes on
// running: see swap-in.mjs.
// electron itself and packages with native parts stay outside.

import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { basename, join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ROOT, SetupError, fail, say } from './run.mjs'
import { filesUnder, hashOf, isStamped, stamp } from './stamp.mjs'
import { dropLeft, oneAtATime, swapIn } from './swap-in.mjs'

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
    done.flatMap(({ outputFiles = [] }) => outputFiles.map(({ path, contents }) => [belowOf(root, path), contents])),
  )
}

/** Files that are copied as they are. @type {readonly [string, string][]} */
const COPIES = [
  ['renderer/index.html', 'app/renderer/index.html'],
  ['electron/shell/assets', 'app/assets'],
]

/** @returns {[string, Uint8Array][]} */
function copies() {
  return COPIES.flatMap(([from, to]) => {
    const at = join(ROOT, from)
    if (!existsSync(at)) return []
    if (basename(from).includes('.')) return [[to, readFileSync(at)]]
    return filesUnder(at, () => true).map(
      (file) => /** @type {[string, Uint8Array]} */ ([`${to}/${belowOf(at, file)}`, readFileSync(file)]),
    )
  })
}

const belowOf = (/** @type {string} */ folder, /** @type {string} */ path) =>
  relative(folder, path).replaceAll('\\', '/')

/** @param {string} path */
const isInput = (path) =>
  !/\.test\.tsx?$/.test(path) && (/^(electron|renderer)\//.test(path) || /^build\/(bundle|swap-in)\.mjs$/.test(path))

function inputHash() {
  const inputs = ['electron', 'renderer', 'build'].flatMap((folder) =>
    filesUnder(join(ROOT, folder), (path) => isInput(`${folder}/${path}`)),
  )
  return hashOf(ROOT, [...inputs, join(ROOT, 'package.json'), join(ROOT, 'package-lock.json')])
}

export async function bundle() {
  if (isStamped(STAMP, inputHash())) return
  await oneAtATime(OUT, async () => {
    // Whoever was first may have built the same; and sources may have changed while this one waited.
    const hash = inputHash()
    if (!isStamped(STAMP, hash)) await buildAll(hash)
  })
}

/** What a package must not carry: what the bundle was before. */
export const dropOlderBundles = () => dropLeft(OUT)

/** @param {string} hash */
async function buildAll(hash) {
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

  /** @type {Map<string, Uint8Array | string>} */
  const files = new Map(
    done
      .flatMap((one) => (one.status === 'fulfilled' ? (one.value.outputFiles ?? []) : []))
      .map(({ path, contents }) => [belowOf(OUT, path), contents]),
  )
  for (const [path, content] of copies()) files.set(path, content)
  if (files.has('cli/main.mjs')) files.set('cli.mjs', "import './cli/main.mjs'\n")
  rmSync(STAMP, { force: true })
  swapIn(OUT, files)
  stamp(STAMP, hash)
  say(`bundle: ${present.length} built in ${Date.now() - startedMs} ms`)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await bundle().catch(fail)
