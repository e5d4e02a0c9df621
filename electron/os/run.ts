import { execFile } from 'node:child_process'
import { codeOf } from '../base/errors.ts'

export interface Ran {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

export type Run = (program: string, args: readonly string[], input?: string) => Promise<Ran>

/** Status 127 when the program is missing, as a shell says it. Ends by itself after ten seconds. */
export const run: Run = (program, args, input) =>
  new Promise((resolve) => {
    const child = execFile(
      program,
      [...args],
      { timeout: 10_000, maxBuffer: 4 * 1024 * 1024, env: { ...process.env, LC_ALL: 'C' } },
      (error, stdout, stderr) => {
        if (!error) resolve({ status: 0, stdout, stderr })
        else if (codeOf(error) === 'ENOENT') resolve({ status: 127, stdout, stderr: `${program}: not found` })
        else
          resolve({ status: typeof error.code === 'number' ? error.code : 1, stdout, stderr: stderr || error.message })
      },
    )
    if (input !== undefined) child.stdin?.end(input)
  })
