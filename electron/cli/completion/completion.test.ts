// Completion as shells do it: the program prints the script, and a real shell is asked what may follow.

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Command } from '../command.ts'
import { verbsOf } from './verbs.ts'

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url))
const TSX = import.meta.resolve('tsx')

const missing = (shell: string): string | false => {
  const { error } = spawnSync(shell, ['--version'], { stdio: 'ignore' })
  return error ? `there is no ${shell} here` : false
}

function scriptFor(t: TestContext, shell: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-completion-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, `peerway.${shell}`)
  writeFileSync(file, execFileSync(process.execPath, ['--import', TSX, MAIN, 'completion', shell]))
  return file
}

interface Case {
  readonly line: string
  readonly has: readonly string[]
  readonly hasNot?: readonly string[]
}

const CASES: readonly Case[] = [
  { line: 'peerway sta', has: ['status', 'start-headless'], hasNot: ['up'] },
  { line: 'peerway coord ', has: ['users', 'nodes', 'policy', 'derp-map', 'serve'], hasNot: ['status'] },
  { line: 'peerway coord nodes ', has: ['list', 'approve', 'rename'], hasNot: ['create'] },
  { line: 'peerway coord --tailnet nodes users ', has: ['create', 'invite'], hasNot: ['approve'] },
  { line: 'peerway coord import t', has: ['tailscale'], hasNot: ['headscale'] },
  { line: 'peerway up --acc', has: ['--accept-routes', '--accept-dns'], hasNot: ['--hostname'] },
  { line: 'peerway coord derp-map add-region fra --c', has: ['--cert'], hasNot: ['--host'] },
  { line: 'peerway --socket /run/x stat', has: ['status'] },
  { line: 'peerway completion ', has: ['bash', 'zsh', 'fish'] },
  { line: 'peerway coord serve --tls ', has: ['auto', 'off'], hasNot: ['--json', 'list'] },
  { line: 'peerway coord serve --tls=a', has: ['auto'], hasNot: ['off'] },
  { line: 'peerway up --hostname ', has: [], hasNot: ['status', '--json'] },
  { line: 'peerway nonsense ', has: ['status'] },
]

function check(shell: string, complete: (line: string) => readonly string[]): void {
  for (const { line, has, hasNot = [] } of CASES) {
    const words = complete(line).map((word) => word.replace(/^--tls=/, ''))
    for (const word of has) assert.ok(words.includes(word), `${shell}: "${line}" lacks ${word}: ${words.join(' ')}`)
    for (const word of hasNot) assert.ok(!words.includes(word), `${shell}: "${line}" has ${word}`)
  }
}

test('bash completes words, options and what follows them', { skip: missing('bash') }, (t) => {
  const file = scriptFor(t, 'bash')
  const complete = (line: string): string[] => {
    // As bash splits a line: an equals sign is a word of its own.
    const words = line.split(' ').flatMap((word) => word.split(/(=)/))
    const quoted = words.map((word) => `'${word}'`).join(' ')
    const asked = `source '${file}'; COMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; _peerway; printf '%s\\n' "\${COMPREPLY[@]}"`
    return execFileSync('bash', ['--norc', '-c', asked], { encoding: 'utf8' }).split('\n')
  }
  check('bash', complete)
})

test('zsh completes the same', { skip: missing('zsh') }, (t) => {
  const file = scriptFor(t, 'zsh')
  // The completion system runs in a terminal only, so what it is told is asked in its place.
  const stub = `compdef() { }; _files() { print @file }; _describe() { [[ $1 == -o ]] && shift; print -l -- \${\${(P)2}%%:*} }
    compadd() { shift; print -l -- "$@" }; compset() { }`
  const complete = (line: string): string[] => {
    const words = line.split(' ').map((word) => `'${word}'`)
    const last = line.split(' ').at(-1) ?? ''
    const asked = `${stub}; source '${file}'; words=(${words.join(' ')}); CURRENT=${words.length}; PREFIX='${last}'; _peerway`
    const typed = last.replace(/^--[a-z-]+=/, '')
    const told = execFileSync('zsh', ['-f', '-c', asked], { encoding: 'utf8' }).split('\n')
    return told.filter((word) => word.startsWith(typed))
  }
  check('zsh', complete)
})

test('fish completes the same', { skip: missing('fish') }, (t) => {
  const file = scriptFor(t, 'fish')
  const complete = (line: string): string[] =>
    execFileSync('fish', ['--no-config', '-c', `source '${file}'; complete -C '${line}'`], { encoding: 'utf8' })
      .split('\n')
      .map((told) => told.split('\t')[0] ?? '')
  check('fish', complete)
})

test('another shell is told which there are', () => {
  const { status, stderr } = spawnSync(process.execPath, ['--import', TSX, MAIN, 'completion', 'tcsh'], {
    encoding: 'utf8',
  })
  assert.equal(status, 2)
  assert.match(stderr, /bash, zsh, fish/)
})

test('what stands after an option or a verb is read off the help', () => {
  const command: Command = {
    name: 'coord check',
    summary: 'Checks.',
    usage: ['coord check [--tls auto|off|CERT,KEY] FILE [--json]'],
    help: {
      tls: '--tls auto|off|CERT,KEY   files',
      state: '--state DIR        where',
      json: '--json             one document',
    },
    example: '',
    options: {
      tls: { type: 'string' },
      state: { type: 'string' },
      json: { type: 'boolean' },
      quiet: { type: 'string' },
    },
    positionals: [1, 1],
    run: async () => 0,
  }
  const { verbs, next } = verbsOf([command], new Map([['coord', 'Runs a server.']]))
  assert.deepEqual(verbs[0]?.argument, { kind: 'file' })
  assert.deepEqual(
    verbs[0]?.options.map(({ name, text, value }) => [name, text, value]),
    [
      ['tls', 'files', { kind: 'words', of: ['auto', 'off'] }],
      ['state', 'where', { kind: 'file' }],
      ['json', 'one document', undefined],
      ['quiet', '', { kind: 'none' }],
      ['help', 'how it is used', undefined],
    ],
  )
  assert.deepEqual(
    [...next],
    [
      ['', [{ word: 'coord', text: 'Runs a server.' }]],
      ['coord', [{ word: 'check', text: 'Checks.' }]],
    ],
  )
  assert.throws(() => verbsOf([{ ...command, name: "x'$(id)" }], new Map()), TypeError)
})
