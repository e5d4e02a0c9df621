// The Debian packages that the app, its build and its tests need. Elsewhere the names serve as a list to go by.

import { existsSync, readFileSync } from 'node:fs'
import { SetupError, capture, say, show, which } from './run.mjs'

/** `a|b`: the same library under its older and its newer name (Debian 13 renamed those that hold a 64-bit time_t). */
const RUN = [
  'ca-certificates',
  'iproute2',
  'libasound2|libasound2t64',
  'libatspi2.0-0|libatspi2.0-0t64',
  'libdrm2',
  'libgbm1',
  'libgtk-3-0|libgtk-3-0t64',
  'libnotify4',
  'libnss3',
  'libsecret-1-0',
  'libxkbcommon0',
  'libxss1',
  'libxtst6',
  'xdg-utils',
]
/** The Rust linker calls cc; some crates build a little C. */
const BUILD = ['gcc', 'libc6-dev', 'make']
const TEST = [
  'chromium',
  'conntrack',
  'iperf3',
  'iputils-ping',
  'miniupnpd-nftables',
  'nftables',
  'postgresql',
  'procps',
  'tinyproxy',
  'xauth',
  'xvfb',
]

export const PACKAGES = [...RUN, ...BUILD, ...TEST]

/**
 * Those of `wanted` that are not installed, by what `dpkg-query -W -f '${Package} ${db:Status-Status}\n'` printed.
 * @param {readonly string[]} wanted
 * @param {string} listing
 */
export function missingPackages(wanted, listing) {
  const installed = new Set()
  for (const line of listing.split('\n')) {
    const [name, status] = line.split(' ')
    if (name && status === 'installed') installed.add(name)
  }
  return wanted.filter((names) => !names.split('|').some((name) => installed.has(name)))
}

/**
 * One name per package: the newest that this system's lists can install.
 * @param {readonly string[]} missing
 * @param {(name: string) => boolean} isOnOffer
 */
export const namesToInstall = (missing, isOnOffer) =>
  missing.map((names) => {
    const all = names.split('|')
    return all.toReversed().find(isOnOffer) ?? all[0] ?? names
  })

const isDebian = () =>
  process.platform === 'linux' &&
  existsSync('/etc/os-release') &&
  /^ID(_LIKE)?=.*(debian|ubuntu)/m.test(readFileSync('/etc/os-release', 'utf8')) &&
  which('apt-get') !== undefined

/** @param {string} name */
const isOnOffer = (name) => /^\s*Candidate: (?!\(none\))\S/m.test(capture('apt-cache', ['policy', name]).stdout)

/** @param {{ verbose: boolean }} options */
export async function systemPackages({ verbose }) {
  if (process.platform !== 'linux') return
  if (!isDebian()) {
    if (verbose) say(`system: not a Debian system; what Debian calls ${PACKAGES.join(' ')} should be installed`)
    return
  }
  const all = PACKAGES.flatMap((names) => names.split('|'))
  const listing = capture('dpkg-query', ['-W', '-f', '${Package} ${db:Status-Status}\\n', ...all])
  const missing = missingPackages(PACKAGES, listing.stdout)
  if (missing.length === 0) return

  if (process.getuid?.() !== 0) {
    const names = namesToInstall(missing, isOnOffer).join(' ')
    say(
      `system: these packages are missing, and only root can add them. Please run:\n\n  sudo apt-get install ${names}\n`,
    )
    return
  }
  say(`system: installing ${missing.length} packages`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  // Lists may be old or absent on a bare system; an update that fails for one source of many must not stop us.
  await show('apt-get', ['update', '-qq'], { env, timeoutMs: 300_000 })
  const names = namesToInstall(missing, isOnOffer)
  const install = ['install', '-y', '-qq', '-o', 'Dpkg::Use-Pty=0', '--no-install-recommends', ...names]
  if ((await show('apt-get', install, { env, timeoutMs: 900_000 })) !== 0) {
    throw new SetupError(`The system packages could not be installed. Please run: apt-get install ${names.join(' ')}`)
  }
}
