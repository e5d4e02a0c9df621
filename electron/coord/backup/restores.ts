// A backup that came through the console: kept until it is put in place or not wanted any more, and what became of it. It
// outlives the server that took it, which ends while the backup is put in its place.

import { randomBytes } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Transform, type Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Clock } from '../../base/clock.ts'
import type { MachinePublic } from '../../crypto/keys.ts'
import { CoordError } from '../errors.ts'
import { checkBackup, opensKey, type BackupContents, type CheckedBackup } from './check-backup.ts'

/** Ten thousand machines take about two; larger ones go by the command line. */
export const MOST_UPLOAD_BYTES = 64 * 1024 * 1024
/** One that nobody decides on goes away. */
const KEPT_MS = 15 * 60_000

/** Told by the API, so the names are public interface. */
export interface UploadedBackup extends BackupContents {
  /** Names the upload; nobody else can guess it. */
  readonly upload: string
  /** It was made of this server; otherwise the server takes on the key in it, and machines of now have to join anew. */
  readonly isOfThisServer: boolean
  /** To be restored, the passphrase that it was made with is needed. */
  readonly needsPassphrase: boolean
}

export type RestoreOutcome =
  | { readonly state: 'running' }
  | { readonly state: 'done' }
  /** Everything is as it was before. */
  | { readonly state: 'failed'; readonly message: string }

export interface RestoreWish {
  readonly file: string
  readonly passphrase: string | undefined
  /** Who asked for it, for the audit log. */
  readonly actor: string
}

interface Kept {
  readonly upload: string
  readonly folder: string
  readonly file: string
  readonly checked: CheckedBackup
  readonly cancel: () => void
}

export class Restores {
  readonly #clock: Clock
  /** Ends the server, puts the backup in its place and starts it again. Never rejects. */
  readonly #run: (wish: RestoreWish) => Promise<RestoreOutcome>
  #kept: Kept | undefined
  #isTaking = false
  #last: { readonly upload: string; readonly outcome: RestoreOutcome } | undefined

  constructor(clock: Clock, run: (wish: RestoreWish) => Promise<RestoreOutcome>) {
    this.#clock = clock
    this.#run = run
  }

  /** Takes a file in the place of the one before, and looks whether it could be restored. Throws CoordError. */
  async take(from: Readable, ours: MachinePublic): Promise<UploadedBackup> {
    if (this.#isTaking || this.#last?.outcome.state === 'running')
      throw new CoordError('coord/conflict', 'Somebody else is restoring a backup at this moment.')
    this.#isTaking = true
    const folder = await mkdtemp(join(tmpdir(), 'peerway-restore-'))
    try {
      const file = join(folder, 'uploaded.backup')
      await pipeline(from, atMost(MOST_UPLOAD_BYTES), createWriteStream(file, { flags: 'wx', mode: 0o600 }))
      const checked = await checkBackup(file).catch((error: unknown) => {
        throw error instanceof CoordError ? new CoordError(error.code, error.message.replaceAll(file, 'file')) : error
      })
      await this.#forget()
      const upload = randomBytes(16).toString('base64url')
      this.#kept = { upload, folder, file, checked, cancel: this.#clock.after(KEPT_MS, () => void this.#forget()) }
      return this.#describe(this.#kept, ours)
    } catch (error) {
      await rm(folder, { recursive: true, force: true })
      throw error
    } finally {
      this.#isTaking = false
    }
  }

  #describe({ upload, checked }: Kept, ours: MachinePublic): UploadedBackup {
    const isOfThisServer = checked.publicKey === ours.text
    return { upload, ...checked.contents, isOfThisServer, needsPassphrase: !isOfThisServer }
  }

  /**
   * Resolves when it is certain that the backup can be put in place; then `begin` is to be called, once the answer is on its
   * way. Throws CoordError.
   */
  async prepare(
    upload: string,
    passphrase: string | undefined,
    ours: MachinePublic,
    actor: string,
  ): Promise<{ readonly begin: () => void }> {
    const kept = this.#kept
    if (kept?.upload !== upload)
      throw new CoordError('coord/not-found', 'That backup is not here any more. Choose the file again.')
    const { file, checked } = kept
    if (checked.publicKey !== ours.text) {
      if (!checked.hasKey)
        throw new CoordError(
          'coord/conflict',
          'The backup is of another server and was made without its key. Put a copy of that server’s noise.key into the state folder, and restore it there with "peerway coord restore".',
        )
      if (passphrase === undefined || !(await opensKey(file, passphrase)))
        throw new CoordError('coord/bad-argument', 'That is not the passphrase this backup was made with.')
    }
    return { begin: () => void this.#begin(kept, { file, passphrase, actor }) }
  }

  async #begin(kept: Kept, wish: RestoreWish): Promise<void> {
    if (this.#kept !== kept) return
    this.#kept = undefined
    kept.cancel()
    const { upload } = kept
    this.#last = { upload, outcome: { state: 'running' } }
    this.#last = { upload, outcome: await this.#run(wish) }
    await rm(kept.folder, { recursive: true, force: true })
  }

  /** Of the last one that was begun. */
  outcome(upload: string): RestoreOutcome | undefined {
    return this.#last?.upload === upload ? this.#last.outcome : undefined
  }

  close(): Promise<void> {
    return this.#forget()
  }

  async #forget(): Promise<void> {
    const kept = this.#kept
    this.#kept = undefined
    kept?.cancel()
    if (kept) await rm(kept.folder, { recursive: true, force: true })
  }
}

function atMost(bytes: number): Transform {
  let left = bytes
  return new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      left -= chunk.length
      if (left >= 0) return done(null, chunk)
      done(
        new CoordError(
          'coord/bad-argument',
          `A backup of more than ${bytes / 2 ** 20} MiB is restored on the server’s machine: peerway coord restore FILE.`,
        ),
      )
    },
  })
}
