import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { isAddonSource } from './addon.mjs'
import { isNewEnough } from './node-version.mjs'
import { packagesAreCurrent } from './npm-packages.mjs'
import { filesUnder, hashOf, isStamped, stamp } from './stamp.mjs'
import { missingPackages, namesToInstall } from './system-packages.mjs'

function folder(t: TestContext) {
  const root = mkdtempSync(join(tmpdir(), 'peerway-setup-'))
  t.after(() => rmSync(root, { recursive: true, force: true }))
  const put = (path: string, text: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return { root, put }
}

test('a hash changes with a content and with a name, and not with the place of the tree', (t) => {
  const [one, two] = [folder(t), folder(t)]
  const hash = ({ root }: { root: string }) =>
    hashOf(
      root,
      filesUnder(root, () => true),
    )
  for (const { put } of [one, two]) {
    put('a.rs', 'fn a() {}')
    put('target/debug/a', 'built')
  }
  const before = hash(one)
  assert.equal(hash(two), before)
  one.put('target/debug/a', 'built anew')
  assert.equal(hash(one), before)
  one.put('a.rs', 'fn b() {}')
  assert.notEqual(hash(one), before)
  two.put('b.rs', '')
  assert.notEqual(hash(two), before)
})

test('a stamp counts only for the hash that it was made with', (t) => {
  const { root } = folder(t)
  const file = join(root, 'deep', 'x.hash')
  assert.equal(isStamped(file, 'one'), false)
  stamp(file, 'one')
  assert.equal(isStamped(file, 'one'), true)
  assert.equal(isStamped(file, 'two'), false)
})

test('the addon depends on its sources and lock file, not on its tests', () => {
  for (const path of [
    'napi/src/lib.rs',
    'Cargo.toml',
    'wireguard/Cargo.toml',
    'Cargo.lock',
    'napi/build.rs',
    '.cargo/config.toml',
  ]) {
    assert.equal(isAddonSource(path), true, path)
  }
  for (const path of ['wireguard/tests/replay.rs', 'device/benches/tx.rs', 'README.md', 'peerway.node']) {
    assert.equal(isAddonSource(path), false, path)
  }
})

test('packages are current when all that this system needs is there in the right version, and nothing else', () => {
  const lock = {
    packages: {
      '': { version: '0.1.0' },
      'node_modules/a': { version: '1.0.0' },
      'node_modules/a-darwin': { version: '1.0.0', optional: true },
    },
  }
  const at = (packages: Record<string, { version: string }>) => packagesAreCurrent(lock, { packages })
  assert.equal(at({ 'node_modules/a': { version: '1.0.0' } }), true)
  assert.equal(at({ 'node_modules/a': { version: '1.0.1' } }), false)
  assert.equal(at({ 'node_modules/a': { version: '1.0.0' }, 'node_modules/a-darwin': { version: '0.9.0' } }), false)
  assert.equal(at({ 'node_modules/a': { version: '1.0.0' }, 'node_modules/gone': { version: '1.0.0' } }), false)
  assert.equal(at({}), false)
  assert.equal(packagesAreCurrent({}, {}), false)
})

test('a system package is there under any of its names, and not when only its settings are left', () => {
  const listing = 'libnss3 installed\nlibgtk-3-0t64 installed\nxvfb config-files\n'
  assert.deepEqual(missingPackages(['libnss3', 'libgtk-3-0|libgtk-3-0t64', 'xvfb', 'iperf3'], listing), [
    'xvfb',
    'iperf3',
  ])
})

test('asks for the newer name of a system package where the system offers it', () => {
  assert.deepEqual(
    namesToInstall(['a|at64', 'b|bt64', 'c'], (name) => ['a', 'at64', 'b'].includes(name)),
    ['at64', 'b', 'c'],
  )
})

test('Node 20.19 is the oldest that will do', () => {
  for (const version of ['20.19.0', '20.20.2', '22.1.0', '24.0.0']) assert.equal(isNewEnough(version), true, version)
  for (const version of ['20.18.3', '18.20.0', '8.0.0']) assert.equal(isNewEnough(version), false, version)
})
