// `peerway coord …` as people type it, for tests.

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** As main.ts ends a command, without loading all the other verbs. */
const ENTRY = `
import { runCoord } from './electron/cli/coord.ts'
runCoord(process.argv.slice(1)).then((status) => { process.exitCode = status }, (error) => {
  process.stderr.write(error.message + ' [' + error.code + ']\\n')
  process.exitCode = error.code === 'cli/usage' ? 2 : 1
})`

export interface Ran {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export function start(args: readonly string[]) {
  const node = ['--import', 'tsx', '--input-type=module', '--eval', ENTRY, '--', ...args]
  const child = spawn(process.execPath, node, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const ended = new Promise<Ran>((resolve) => child.once('close', (status) => resolve({ status, stdout, stderr })))
  return { child, ended }
}

export const peerway = (...args: readonly string[]): Promise<Ran> => start(args).ended

export function tempFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-cli-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}
