// What a database says when it cannot, in our words. Its own words go along as the cause.

import { codeOf, messageOf } from '../../base/errors.ts'
import { CoordError, TakenError } from '../errors.ts'

type Reason = 'taken' | 'depended-on' | 'full' | 'read-only' | 'unreachable' | 'damaged'

/** SQLite: the beginning of its extended code. PostgreSQL: SQLSTATE (appendix A), or what the socket said. */
const REASONS: readonly (readonly [beginning: string, reason: Reason])[] = [
  ['SQLITE_CONSTRAINT_UNIQUE', 'taken'],
  ['SQLITE_CONSTRAINT_PRIMARYKEY', 'taken'],
  ['SQLITE_CONSTRAINT_FOREIGNKEY', 'depended-on'],
  // So it calls ON DELETE RESTRICT; the schema has no other.
  ['SQLITE_CONSTRAINT_TRIGGER', 'depended-on'],
  ['SQLITE_FULL', 'full'],
  ['SQLITE_READONLY', 'read-only'],
  ['SQLITE_IOERR', 'unreachable'],
  ['SQLITE_CORRUPT', 'damaged'],
  ['SQLITE_NOTADB', 'damaged'],
  ['23505', 'taken'],
  ['23503', 'depended-on'],
  ['53100', 'full'],
  ['25006', 'read-only'],
  // Of a connection, too many connections, shutting down or starting up, a lock or a statement that took too long.
  ['08', 'unreachable'],
  // Deadlocks and the like, tried again before anybody hears of them.
  ['40', 'unreachable'],
  ['53', 'unreachable'],
  ['57', 'unreachable'],
  ['55P03', 'unreachable'],
  ['25P03', 'unreachable'],
  ['XX001', 'damaged'],
  ['XX002', 'damaged'],
  ['ECONN', 'unreachable'],
  ['EPIPE', 'unreachable'],
  ['ENOENT', 'unreachable'],
  ['ETIMEDOUT', 'unreachable'],
  ['EHOST', 'unreachable'],
  ['ENET', 'unreachable'],
  ['ENOTFOUND', 'unreachable'],
  ['EAI_', 'unreachable'],
]

/** What pg throws without a code when its connection goes or does not come. */
const HUNG_UP = /connection terminated|timeout exceeded|connection ended|not queryable|query read timeout/i

/** A CoordError for what a driver threw; anything else as it is. `where` names the database. */
export function storeFailure(error: unknown, where: string): unknown {
  if (error instanceof CoordError) return error
  const code = codeOf(error) ?? ''
  const reason =
    REASONS.find(([beginning]) => code.startsWith(beginning))?.[1] ??
    (code === '' && HUNG_UP.test(messageOf(error)) ? 'unreachable' : undefined)
  const options = { cause: error }
  switch (reason) {
    case undefined:
      return error
    case 'taken':
      return new TakenError('Somebody else has that name, key or address since a moment ago. Look again.', options)
    case 'depended-on':
      return new TakenError('Something that still exists depends on it.', options)
    case 'full':
      return new CoordError(
        'coord/storage-full',
        `There is no room left for ${where}. Make some; nothing was lost and nothing half-written.`,
        options,
      )
    case 'read-only':
      return storeReadOnly(where, error)
    case 'unreachable':
      return new CoordError('coord/storage-unreachable', `${where} does not answer just now; try again.`, options)
    case 'damaged':
      return new CoordError('coord/state-damaged', `${where} is damaged. Restore a backup.`, options)
  }
}

export const storeReadOnly = (where: string, cause: unknown): CoordError =>
  new CoordError('coord/storage-read-only', `${where} may be read but not written.`, { cause })
