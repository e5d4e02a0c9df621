// Unix sockets that only their owner may open, and whether somebody listens on one.

import { chmod } from 'node:fs/promises'
import { connect, type Server } from 'node:net'
import { codeOf } from './errors.ts'

/** Undefined when somebody listens at `path`; else the system's reason: "ENOENT", "ECONNREFUSED" (a dead socket, or no socket). */
export function whyNobodyListens(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const probe = connect(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve(undefined)
    })
    probe.once('error', (error) => resolve(codeOf(error) ?? 'error'))
  })
}

/**
 * Listens at `path` with rights for the owner only, from the first moment on. On Windows `path` names a pipe, whose rights
 * are not files'. Rejects with the system's error.
 */
export async function listenPrivately(server: Server, path: string): Promise<void> {
  const isFile = process.platform !== 'win32'
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    // The file is made within the call, so nothing else is made under this mask.
    const mask = isFile ? process.umask(0o177) : undefined
    server.listen(path, resolve)
    if (mask !== undefined) process.umask(mask)
  })
  if (isFile) await chmod(path, 0o600)
}
