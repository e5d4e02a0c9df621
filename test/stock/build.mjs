// Builds the stock peers: the programs that our protocol claims are checked against. They come from their published
// modules, pinned by the go.mod and go.sum of each folder here, into a cache outside the tree, and are never shipped.
//
//   node test/stock/build.mjs [NAME…]     builds what is missing: tailscale-new tailscale-old headscale wireguard-go dex
//   import { stockPeers } from './build.mjs'   tells the paths, or why there are none; builds nothing

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const HERE = fileURLToPath(new URL('.', import.meta.url))

/** A cold build of the largest takes about four minutes on two cores; the rest is for slow networks. */
const BUILD_TIMEOUT_MS = 20 * 60_000

/** One version of gvisor that this module names cannot be had; these leave it out. Kernel TUN mode is untouched. */
const TAILSCALE_NEW_TAGS = [
  'ts_omit_gro',
  'ts_omit_netstack',
  'ts_omit_outboundproxy',
  'ts_omit_serve',
  'ts_omit_ssh',
  'ts_omit_webclient',
  'ts_omit_tap',
  'ts_omit_acme',
]

/** Each is a folder beside this file with a go.mod of its own: one module cannot require two versions of another. */
const PEERS = [
  {
    // Newer versions say v2 and are in a module without; this is the last that can be had as one.
    name: 'dex',
    module: 'github.com/dexidp/dex',
    binaries: { dex: 'peerway.invalid/test/stock/dex' },
    tags: [],
  },
  {
    name: 'wireguard-go',
    module: 'golang.zx2c4.com/wireguard',
    binaries: { 'wireguard-go': 'golang.zx2c4.com/wireguard' },
    tags: [],
  },
  {
    name: 'headscale',
    module: 'github.com/juanfont/headscale',
    binaries: { headscale: 'github.com/juanfont/headscale/cmd/headscale' },
    tags: [],
  },
  {
    name: 'tailscale-new',
    module: 'tailscale.com',
    binaries: { tailscaled: 'tailscale.com/cmd/tailscaled', tailscale: 'tailscale.com/cmd/tailscale' },
    tags: TAILSCALE_NEW_TAGS,
  },
  {
    name: 'tailscale-old',
    module: 'tailscale.com',
    binaries: {
      tailscaled: 'tailscale.com/cmd/tailscaled',
      tailscale: 'tailscale.com/cmd/tailscale',
      derper: 'tailscale.com/cmd/derper',
    },
    tags: [],
  },
]

/** @param {(typeof PEERS)[number]} peer */
function versionOf(peer) {
  const text = readFileSync(join(HERE, peer.name, 'go.mod'), 'utf8')
  const match = new RegExp(`^(?:require )?\\s*${peer.module.replaceAll('.', '\\.')} (v\\S+)`, 'm').exec(text)
  if (!match?.[1]) throw new Error(`${peer.name}/go.mod does not require ${peer.module}`)
  return match[1]
}

/** @param {(typeof PEERS)[number]} peer */
function cacheDir(peer) {
  const cache = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache')
  return join(cache, 'peerway', 'stock', `${peer.name}-${versionOf(peer)}`)
}

/** @param {(typeof PEERS)[number]} peer */
function missing(peer) {
  return Object.keys(peer.binaries).filter((binary) => !existsSync(join(cacheDir(peer), binary)))
}

/**
 * Where the stock peers are. A peer that is not built has a reason instead of a path, for the message of a skipped test.
 *
 * @returns {{ name: string, version: string, dir: string, binaries: Record<string, string>, unavailable: string | undefined }[]}
 */
export function stockPeers() {
  return PEERS.map((peer) => {
    const dir = cacheDir(peer)
    const lacks = missing(peer)
    return {
      name: peer.name,
      version: versionOf(peer),
      dir,
      binaries: Object.fromEntries(Object.keys(peer.binaries).map((binary) => [binary, join(dir, binary)])),
      unavailable:
        lacks.length === 0
          ? undefined
          : `${lacks.join(', ')} of ${peer.name} not built (npm run test:interop builds it)`,
    }
  })
}

/** Why nothing can be built here; undefined when the Go toolchain answers. */
function goUnavailable() {
  const go = spawnSync('go', ['version'], { encoding: 'utf8' })
  if (go.error) return 'Go is not installed (Debian: apt install golang, or a newer one from go.dev)'
  return go.status === 0 ? undefined : `go version: ${go.stderr.trim()}`
}

/**
 * Builds one peer beside its place and moves it there whole: a broken build leaves nothing that looks finished.
 *
 * @param {(typeof PEERS)[number]} peer
 * @returns {string | undefined} why it failed
 */
function build(peer) {
  const dir = cacheDir(peer)
  mkdirSync(join(dir, '..'), { recursive: true })
  const temp = mkdtempSync(`${dir}.building-`)
  try {
    const result = spawnSync(
      'go',
      [
        'build',
        '-p',
        '1', // one package at a time: this runs beside other work
        '-trimpath',
        '-buildvcs=false',
        '-mod=readonly', // go.sum is the pin
        ...(peer.tags.length > 0 ? ['-tags', peer.tags.join(',')] : []),
        '-o',
        `${temp}/`,
        ...Object.values(peer.binaries),
      ],
      {
        cwd: join(HERE, peer.name),
        env: { ...process.env, GOTOOLCHAIN: 'auto', GOFLAGS: '', GOWORK: 'off' },
        encoding: 'utf8',
        timeout: BUILD_TIMEOUT_MS,
        maxBuffer: 64 * 1024 * 1024,
      },
    )
    if (result.error) return result.error.message
    if (result.status !== 0) return result.stderr.trim().split('\n').slice(-5).join('\n')
    const wanted = Object.entries(peer.binaries)
    for (const [binary, path] of wanted) {
      // A module's root package is named after the last element of its path.
      const built = path.split('/').at(-1) ?? binary
      if (built !== binary) renameSync(join(temp, built), join(temp, binary))
    }
    rmSync(dir, { recursive: true, force: true })
    renameSync(temp, dir)
    return undefined
  } finally {
    rmSync(temp, { recursive: true, force: true })
  }
}

/** What a killed build left behind. */
function sweep() {
  const parent = join(cacheDir(PEERS[0]), '..')
  if (!existsSync(parent)) return
  const HOUR_MS = 3_600_000
  for (const name of readdirSync(parent)) {
    if (!name.includes('.building-')) continue
    const path = join(parent, name)
    if (Date.now() - statSync(path).mtimeMs > HOUR_MS) rmSync(path, { recursive: true, force: true })
  }
}

/**
 * Builds what is missing and says so; never throws for a peer that cannot be built.
 *
 * @param {readonly string[]} names all when empty
 * @returns {boolean} whether every wanted peer is there
 */
export function buildStockPeers(names = []) {
  sweep()
  const wanted = PEERS.filter((peer) => names.length === 0 || names.includes(peer.name))
  const todo = wanted.filter((peer) => missing(peer).length > 0)
  const noGo = todo.length > 0 ? goUnavailable() : undefined
  let complete = true
  for (const peer of wanted) {
    const label = `${peer.name} ${versionOf(peer)}`
    if (!todo.includes(peer)) {
      console.error(`stock: ${label}: there already, in ${cacheDir(peer)}`)
      continue
    }
    const started = Date.now()
    if (noGo === undefined) console.error(`stock: ${label}: building (some minutes when cold)…`)
    const failed = noGo ?? build(peer)
    complete &&= failed === undefined
    if (failed === undefined) console.error(`stock: ${label}: built in ${Math.round((Date.now() - started) / 1000)} s`)
    else console.error(`stock: ${label}: SKIPPED: ${failed}`)
  }
  return complete
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const names = process.argv.slice(2)
  const unknown = names.filter((name) => !PEERS.some((peer) => peer.name === name))
  if (unknown.length > 0) {
    console.error(`stock: there is no ${unknown.join(', ')}; there are ${PEERS.map((peer) => peer.name).join(', ')}`)
    process.exitCode = 2
  } else {
    process.exitCode = buildStockPeers(names) ? 0 : 1
  }
}
