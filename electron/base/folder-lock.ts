// One program at a time in a folder: whoever listens on a Unix socket in it holds it. A crash lets go by itself, since the
// system closes the listener; the file that stays is taken over.

import { lstat, unlink } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { codeOf } from './errors.ts'
import { whyNobodyListens } from './unix-socket.ts'

/** The system's bound on a socket's path (sockaddr_un), less its end mark. */
const LONGEST_PATH_BYTES = 107

export class FolderLock {
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
  }

  /**
   * Undefined when another program holds the folder. Throws system errors. A folder whose path is too long for a socket is
   * not locked: 'unlocked'.
   */
  static async take(folder: string): Promise<FolderLock | 'unlocked' | undefined> {
    const path = join(folder, 'lock.sock')
    if (Buffer.byteLength(path) > LONGEST_PATH_BYTES || process.platform === 'win32') return 'unlocked'
    for (let attempt = 0; attempt < 2; attempt++) {
      const server = createServer((visitor) => visitor.destroy())
      const error = await listening(server, path)
      if (error === undefined) {
        server.unref()
        return new FolderLock(server)
      }
      if (codeOf(error) !== 'EADDRINUSE') throw error
      if ((await whyNobodyListens(path)) === undefined) return undefined
      if ((await lstat(path)).isSocket()) await unlink(path)
    }
    return undefined
  }

  release(): Promise<void> {
    return new Promise((resolve) => this.#server.close(() => resolve()))
  }
}

const listening = (server: Server, path: string): Promise<unknown> =>
  new Promise((resolve) => {
    server.once('error', resolve)
    server.listen(path, () => resolve(undefined))
  })
