// The data plane: a Rust library built by cargo and put where electron/dataplane loads it from.

import { copyFileSync, existsSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT, SetupError, say, show, which } from './run.mjs'
import { filesUnder, hashOf, isStamped, stamp } from './stamp.mjs'

const NATIVE = join(ROOT, 'native')
export const ADDON = join(NATIVE, 'peerway.node')

const LIBRARY =
  process.platform === 'win32'
    ? 'peerway_native.dll'
    : process.platform === 'darwin'
      ? 'libpeerway_native.dylib'
      : 'libpeerway_native.so'

/** What the built library depends on. Tests and benches live in tests/ and benches/ and change nothing in it. */
export const isAddonSource = (/** @type {string} */ path) =>
  !/(^|\/)(tests|benches|examples|target)\//.test(path) &&
  (path.endsWith('.rs') || /(^|\/)(Cargo\.toml|Cargo\.lock|rust-toolchain\.toml|config\.toml)$/.test(path))

export async function addon() {
  if (!existsSync(join(NATIVE, 'Cargo.toml'))) {
    say('addon: native/Cargo.toml does not exist yet, skipped')
    return
  }
  const hash = hashOf(NATIVE, filesUnder(NATIVE, isAddonSource), `${process.platform} ${process.arch}`)
  const stampFile = join(NATIVE, 'target', 'peerway-addon.hash')
  if (existsSync(ADDON) && isStamped(stampFile, hash)) return

  if (!which('cargo')) {
    throw new SetupError(
      'The data plane is written in Rust, and there is no cargo on the PATH.\n' +
        'Install Rust 1.85 or newer (https://rustup.rs, or "apt-get install rustup && rustup default stable"), then run this again.',
    )
  }
  say('addon: cargo build --release')
  const args = ['build', '--release', '--locked', '--manifest-path', join(NATIVE, 'Cargo.toml')]
  if ((await show('cargo', args, { timeoutMs: 1_800_000 })) !== 0) {
    throw new SetupError('The data plane did not compile; what cargo says is above.')
  }
  // A running agent has the old file mapped: replace the name, never the contents.
  copyFileSync(join(NATIVE, 'target', 'release', LIBRARY), `${ADDON}.new`)
  renameSync(`${ADDON}.new`, ADDON)
  stamp(stampFile, hash)
}
