// Files that people name, and why one cannot be read, in their words.

import { readFile } from 'node:fs/promises'
import { CodedError, messageOf } from '../base/errors.ts'

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EISDIR: 'it is a folder',
  EACCES: 'this account may not read it',
  EPERM: 'this account may not read it',
}

/** Without a full stop. */
export function whyUnreadable(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return REASONS[code] ?? messageOf(error)
}

export async function textOfFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new CodedError('cli/unreadable', `${path} cannot be read: ${whyUnreadable(cause)}.`, { cause })
  }
}
