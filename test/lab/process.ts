// Long-lived programs of a test: their output is kept and can be waited for, and each ends with the test.

import { spawn, type ChildProcess } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** Output kept in memory for waiting and for failure messages; the log file, when there is one, has all of it. */
const KEPT_CHARS = 1_000_000

/** How much of the end of an output goes into the message of a failed wait. */
const SHOWN_CHARS = 4_000

/** A program that ignores SIGTERM this long is killed. */
const TERM_GRACE_MS = 5_000

export interface StartOptions {
  /** What messages call it; also the log file's name. */
  readonly name?: string
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Every line of stdout and stderr goes here too. */
  readonly logFile?: string
}

/** A running program. `output` is stdout and stderr as they came; `stdout` is stdout alone. */
export class LabProcess {
  readonly name: string
  readonly pid: number
  readonly exited: Promise<number | string>
  #child: ChildProcess
  #output = ''
  #stdout = ''
  #status: number | string | undefined
  #watchers = new Set<() => void>()

  constructor(command: readonly string[], options: StartOptions) {
    const [program = 'true', ...args] = command
    this.name = options.name ?? program
    const log = options.logFile === undefined ? undefined : createWriteStream(options.logFile, { flags: 'a' })
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    this.pid = child.pid ?? 0
    const take = (text: string, isStdout: boolean) => {
      log?.write(text)
      this.#output = (this.#output + text).slice(-KEPT_CHARS)
      if (isStdout) this.#stdout = (this.#stdout + text).slice(-KEPT_CHARS)
      this.#wake()
    }
    child.stdout?.setEncoding('utf8').on('data', (text: string) => take(text, true))
    child.stderr?.setEncoding('utf8').on('data', (text: string) => take(text, false))
    this.exited = new Promise((resolve) => {
      const end = (status: number | string) => {
        this.#status = status
        log?.end()
        resolve(status)
        this.#wake()
      }
      child.once('error', (error) => end(error.message))
      child.once('close', (code, signal) => end(code ?? signal ?? 'unknown'))
    })
  }

  get output(): string {
    return this.#output
  }

  get stdout(): string {
    return this.#stdout
  }

  get isRunning(): boolean {
    return this.#status === undefined
  }

  #wake(): void {
    for (const watcher of this.#watchers) watcher()
  }

  /** The first match in the output; fails at once when the program ends without it. */
  async waitForOutput(pattern: RegExp, timeoutMs = 15_000): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        clearTimeout(timer)
        this.#watchers.delete(look)
        settle()
      }
      const fail = (why: string) =>
        finish(() =>
          reject(new Error(`${this.name}: ${why} waiting for ${pattern}\n${this.#output.slice(-SHOWN_CHARS)}`)),
        )
      const look = () => {
        const match = pattern.exec(this.#output)
        if (match) finish(() => resolve(match))
        else if (this.#status !== undefined) fail(`ended (${this.#status})`)
      }
      const timer = setTimeout(() => fail(`${timeoutMs} ms passed`), timeoutMs)
      this.#watchers.add(look)
      look()
    })
  }

  signal(name: NodeJS.Signals): void {
    if (this.isRunning) this.#child.kill(name)
  }

  /** Asks the program to end, waits, and kills it when it does not. */
  async stop(): Promise<void> {
    if (!this.isRunning) return
    this.#child.kill('SIGTERM')
    const ended = await Promise.race([this.exited, sleep(TERM_GRACE_MS, 'slow' as const, { ref: false })])
    if (ended !== 'slow') return
    this.#child.kill('SIGKILL')
    await this.exited
  }

  /** For exit handlers, where nothing can be waited for. */
  killNow(): void {
    if (this.isRunning) this.#child.kill('SIGKILL')
  }
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly input?: string
  readonly timeoutMs?: number
}

export interface RunResult {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command to its end. Never throws for an exit status; a command that cannot start or hangs has status -1. */
export async function tryRun(command: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const [program = 'true', ...args] = command
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    let stdout = ''
    let stderr = ''
    let timedOut = false
    const timer = setTimeout(() => {
      timedOut = true
      child.kill('SIGKILL')
    }, options.timeoutMs ?? 30_000)
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.stdin.on('error', () => undefined) // a program that ends early closes its stdin: not our failure
    child.stdin.end(options.input ?? '')
    const finish = (status: number, extra = '') => {
      clearTimeout(timer)
      resolve({ status, stdout, stderr: stderr + extra })
    }
    child.once('error', (error) => finish(-1, error.message))
    child.once('close', (code) => finish(timedOut ? -1 : (code ?? -1), timedOut ? '\n(timed out, killed)' : ''))
  })
}

/** Runs a command to its end and returns its stdout; any other status than 0 throws with what it wrote. */
export async function run(command: readonly string[], options: RunOptions = {}): Promise<string> {
  const { status, stdout, stderr } = await tryRun(command, options)
  if (status !== 0) throw new Error(`${command.join(' ')}: status ${status}\n${(stdout + stderr).slice(-SHOWN_CHARS)}`)
  return stdout
}

export interface UntilOptions {
  readonly timeoutMs: number
  readonly everyMs?: number
  /** Completes the sentence "waited for …". */
  readonly what: string
  /** More to print when it did not happen: states, logs. */
  readonly explain?: () => string | Promise<string>
}

/** Asks again until `probe` gives something other than undefined or false; errors count as "not yet" until the end. */
export async function until<T>(probe: () => Promise<T | undefined | false>, options: UntilOptions): Promise<T> {
  const deadline = Date.now() + options.timeoutMs
  let cause: unknown
  for (;;) {
    try {
      const value = await probe()
      if (value !== undefined && value !== false) return value
      cause = undefined
    } catch (error) {
      cause = error
    }
    if (Date.now() >= deadline) break
    await sleep(options.everyMs ?? 100)
  }
  const more = options.explain ? `\n${await options.explain()}` : ''
  const last = cause instanceof Error ? `\nlast error: ${cause.message}` : ''
  throw new Error(`waited ${options.timeoutMs} ms for ${options.what}${last}${more}`, { cause })
}
