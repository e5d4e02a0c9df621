// Starting other programs, the way every script of this folder does it. Node built-ins only: this runs before npm packages exist.

import { spawn, spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))

/** A failure whose message is all that a person needs: it is printed without a stack. */
export class SetupError extends Error {}

/** @param {string} text */
export const say = (text) => void process.stdout.write(`${text}\n`)

/**
 * The program's full path, or undefined when the PATH has no such program.
 * @param {string} program
 */
export function which(program) {
  const names = process.platform === 'win32' ? [`${program}.exe`, `${program}.cmd`] : [program]
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    for (const name of names) {
      try {
        accessSync(join(folder, name), constants.X_OK)
        return join(folder, name)
      } catch {
        // Not in this folder.
      }
    }
  }
  return undefined
}

/**
 * Runs a program to its end and hands back what it printed; never throws for a failing program.
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, timeoutMs?: number }} [options]
 */
export function capture(program, args, options = {}) {
  const done = spawnSync(program, args, {
    cwd: options.cwd ?? ROOT,
    env: options.env ?? process.env,
    timeout: options.timeoutMs ?? 60_000,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 64 << 20,
    shell: process.platform === 'win32' && program.endsWith('.cmd'),
  })
  const problem = done.error ? `${done.error.message}\n` : ''
  return { ok: done.status === 0, stdout: done.stdout ?? '', stderr: problem + (done.stderr ?? '') }
}

/**
 * Runs a program on our own output; answers its exit status (128 and more for a death by signal). `seen` gets a copy of
 * what it prints, for the stages that count.
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, timeoutMs?: number, seen?: (chunk: string) => void }} [options]
 * @returns {Promise<number>}
 */
export function show(program, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: options.cwd ?? ROOT,
      env: options.env ?? process.env,
      stdio: ['ignore', options.seen ? 'pipe' : 'inherit', 'inherit'],
      shell: process.platform === 'win32' && program.endsWith('.cmd'),
    })
    child.stdout?.setEncoding('utf8').on('data', (/** @type {string} */ chunk) => {
      process.stdout.write(chunk)
      options.seen?.(chunk)
    })
    const timer = options.timeoutMs
      ? setTimeout(() => {
          say(`${program}: stopped after ${Math.round((options.timeoutMs ?? 0) / 1000)} s without an end`)
          child.kill('SIGTERM')
          setTimeout(() => child.kill('SIGKILL'), 5_000).unref()
        }, options.timeoutMs)
      : undefined
    child.on('error', reject)
    child.on('close', (code) => {
      clearTimeout(timer)
      resolve(code ?? 128)
    })
  })
}

/**
 * Becomes another program as far as Node allows: its terminal, its signals, its exit status.
 * @param {string} program
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<never>}
 */
export function become(program, args, env = process.env) {
  return new Promise((_, reject) => {
    const child = spawn(program, args, { stdio: 'inherit', env })
    for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
      // A terminal sends Ctrl-C to the child as well, and a second one may mean "at once".
      process.on(signal, () => void (signal === 'SIGINT' && process.stdin.isTTY ? undefined : child.kill(signal)))
    }
    child.on('error', reject)
    child.on('close', (code, signal) => {
      if (signal) {
        process.removeAllListeners(signal)
        process.kill(process.pid, signal)
      } else process.exit(code ?? 1)
    })
  })
}

/** @param {unknown} error */
export function fail(error) {
  const text = error instanceof SetupError ? error.message : error instanceof Error ? error.stack : String(error)
  process.stderr.write(`\n${text}\n`)
  process.exit(1)
}
