// Copies of the whole server: into a file, back from it, and to another database.

import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { CodedError } from '../base/errors.ts'
import { moveToPostgres, restore } from '../coord/backup/backup.ts'
import { storePlace } from '../coord/store/open-store.ts'
import { adminOptionHelp, adminOptions, answer, ask, coordStateDir } from './coord-admin.ts'
import { type Command, type CommandCall, remark, stringOption } from './command.ts'
import { whyUnreadable } from './read-file.ts'

/** As long as a large database takes. */
const BACKUP_MS = 600_000

const { tailnet: _option, ...options } = adminOptions
const { tailnet: _help, ...help } = adminOptionHelp
const passphraseHelp = { 'passphrase-file': '--passphrase-file F   whose first line seals the server’s key' }

const backup: Command = {
  name: 'coord backup',
  summary: 'Writes all that the server knows into one file, also while it runs.',
  usage: ['coord backup FILE [--passphrase-file F] [--json]'],
  help: { ...passphraseHelp, ...help },
  example: 'peerway coord backup coord-monday.backup --passphrase-file ~/passphrase',
  options: { ...options, 'passphrase-file': { type: 'string' } },
  positionals: [1, 1],
  async run(call) {
    const file = resolve(call.positionals[0] ?? '')
    const done = await ask(call, 'backup', { file, passphrase: await passphrase(call) }, BACKUP_MS)
    if (!done.hasKey)
      remark(
        `The server's key is not in it. Keep ${coordStateDir(call)}/noise.key in a safe place too, or give a passphrase file.`,
      )
    return answer(call, done, ({ file, rows }) => `${rows} rows are in ${file}.`)
  },
}

const restoreCommand: Command = {
  name: 'coord restore',
  summary: 'Puts a backup in the place of what the server has; what was there is backed up first. No server may run.',
  usage: ['coord restore FILE [--passphrase-file F] [--json]'],
  help: { ...passphraseHelp, ...help },
  example: 'peerway coord restore coord-monday.backup --passphrase-file ~/passphrase',
  options: { ...options, 'passphrase-file': { type: 'string' } },
  positionals: [1, 1],
  async run(call) {
    const folder = coordStateDir(call)
    const place = await storePlace(folder, stringOption(call, 'database'))
    const done = await restore(folder, place, {
      file: resolve(call.positionals[0] ?? ''),
      passphrase: await passphrase(call),
      nowMs: Date.now(),
    })
    if (done.former !== undefined) remark(`What was there before is in ${done.former}`)
    return answer(call, done, ({ rows, createdAt }) => `${rows} rows of ${createdAt} are in place. Start the server.`)
  },
}

const moveStore: Command = {
  name: 'coord move-store',
  summary: 'Moves the server from its SQLite file to an empty PostgreSQL database. No server may run.',
  usage: ['coord move-store URL [--json]'],
  help,
  example: 'peerway coord move-store postgres://peerway:secret@db.example/peerway',
  options,
  positionals: [1, 1],
  async run(call) {
    const done = await moveToPostgres(coordStateDir(call), call.positionals[0] ?? '', Date.now())
    return answer(
      call,
      done,
      ({ rows }) => `${rows} rows moved. From now on "peerway coord serve" on this state folder uses that database.`,
    )
  },
}

async function passphrase(call: CommandCall): Promise<string | undefined> {
  const path = stringOption(call, 'passphrase-file')
  if (path === undefined) return undefined
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    throw new CodedError('coord/not-found', `The passphrase file cannot be read: ${whyUnreadable(error)}.`, {
      cause: error,
    })
  }
  const [first = ''] = text.split(/\r?\n/)
  if (first.length < 8)
    throw new CodedError('coord/bad-argument', 'A passphrase has 8 characters or more, in the first line of its file.')
  return first
}

export const backupCommands: readonly Command[] = [backup, restoreCommand, moveStore]
