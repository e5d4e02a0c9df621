import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { ALLOWED, breaches, complaint, importsOf } from './import-rule.mjs'

test('finds every way of naming a module, with its line', () => {
  const source = [
    "import { a } from './a.ts'",
    "// import { no } from './comment.ts'",
    '/*',
    " * import { no } from './block.ts'",
    ' */',
    'import type {',
    '  B,',
    "} from '../b.ts'",
    "export * from './c.ts'",
    "import './d.ts'",
    "const e = await import('./e.ts')",
    "let f: import('./f.ts').F",
    "const g = require('./g.node')",
    'export const h = (from: string) => from',
  ].join('\n')
  assert.deepEqual(importsOf(source), [
    { specifier: './a.ts', line: 1 },
    { specifier: '../b.ts', line: 8 },
    { specifier: './c.ts', line: 9 },
    { specifier: './d.ts', line: 10 },
    { specifier: './e.ts', line: 11 },
    { specifier: './f.ts', line: 12 },
    { specifier: './g.node', line: 13 },
  ])
})

test('lets imports go down and refuses those that go sideways or up', () => {
  const verdicts: [file: string, specifier: string, isAllowed: boolean][] = [
    ['electron/agent/agent.ts', '../control/client.ts', true],
    ['electron/agent/client/client.ts', '../../base/errors.ts', true],
    ['electron/agent/client/client.ts', '../snapshot-store.ts', true],
    ['electron/agent/agent.ts', '../coord/server.ts', false],
    ['electron/control/client.ts', '../derp/client.ts', false],
    ['electron/wire/disco/ping.ts', '../../crypto/keys.ts', true],
    ['electron/crypto/keys.ts', '../wire/codec.ts', false],
    ['electron/base/errors.ts', '../contract/codes.ts', false],
    ['electron/cli/main.ts', '../coord/server.ts', true],
    ['electron/cli/main.ts', '../control/client.ts', false],
    ['renderer/store.ts', '../electron/contract/snapshot.ts', true],
    ['renderer/views/peers.tsx', '../../electron/agent/agent.ts', false],
    ['electron/shell/tray.ts', 'electron', true],
    ['electron/agent/agent.ts', 'electron', false],
    ['electron/dataplane/native.ts', '../../native/peerway.node', true],
    ['electron/agent/agent.ts', '../../native/peerway.node', false],
    ['renderer/store.ts', 'node:fs', false],
    ['electron/contract/check.ts', 'fs', false],
    ['electron/contract/check.test.ts', 'node:test', true],
    ['electron/derp/client.test.ts', '../../test/golden/derp.ts', true],
    ['electron/derp/client.ts', '../../test/golden/derp.ts', false],
    ['electron/stray.ts', 'node:fs', false],
    ['electron/unheard-of/thing.ts', 'node:fs', false],
  ]
  for (const [file, specifier, isAllowed] of verdicts) {
    assert.equal(complaint(file, specifier) === undefined, isAllowed, `${file} imports ${specifier}`)
  }
})

test('says in a tree where the breach is and what would be allowed', () => {
  const root = mkdtempSync(join(tmpdir(), 'peerway-rule-'))
  try {
    const put = (path: string, text: string) => {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      writeFileSync(join(root, path), text)
    }
    put('electron/derp/client.ts', "import { x } from '../base/x.ts'\nimport type { Y } from '../agent/y.ts'\n")
    put('electron/base/x.ts', 'export const x = 1\n')
    assert.deepEqual(breaches(root), [
      "electron/derp/client.ts:2: imports '../agent/y.ts': allowed: wire, crypto, base, contract",
    ])
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
})

test('the table has no circle', () => {
  const visit = (folder: string, above: readonly string[]): void => {
    assert.ok(!above.includes(folder), [...above, folder].join(' -> '))
    for (const next of ALLOWED[folder] ?? []) visit(next, [...above, folder])
  }
  for (const folder of Object.keys(ALLOWED)) visit(folder, [])
})
