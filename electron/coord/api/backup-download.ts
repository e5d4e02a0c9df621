// A backup of the whole server as a download: for who owns every tailnet of it, since all of them are in it.

import { createReadStream } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { ServerAdmin } from '../admin/server-admin.ts'
import { type BackupInfo } from '../backup/backup.ts'
import { ApiError } from './api-error.ts'

export class BackupDownloads {
  #isBusy = false

  /** One at a time: each is as large as the database. */
  async send(
    admin: ServerAdmin,
    response: ServerResponse,
    wish: { readonly passphrase: string | undefined; readonly nowMs: number },
    onMade: (info: BackupInfo) => Promise<void>,
  ): Promise<void> {
    if (this.#isBusy) throw new ApiError(429, 'api/too-many-requests', 'A backup is being made; wait until it is done.')
    this.#isBusy = true
    // Only this process may look in.
    const folder = await mkdtemp(join(tmpdir(), 'peerway-backup-'))
    try {
      const file = join(folder, 'coord.backup')
      await onMade(await admin.backUp({ file, passphrase: wish.passphrase }))
      const day = new Date(wish.nowMs).toISOString().slice(0, 10)
      response.writeHead(200, {
        'content-type': 'application/octet-stream',
        'content-length': (await stat(file)).size,
        'content-disposition': `attachment; filename="peerway-coord-${day}.backup"`,
      })
      await pipeline(createReadStream(file), response)
    } finally {
      this.#isBusy = false
      await rm(folder, { recursive: true, force: true })
    }
  }
}
