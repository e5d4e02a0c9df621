import { CodedError, isCoded } from '../base/errors.ts'

export type CoordErrorCode =
  /** Another process holds the state folder; ask it through its admin socket, or stop it. */
  | 'coord/state-in-use'
  /** The state folder cannot be read or written: its owner acts. */
  | 'coord/state-unusable'
  /** The database or a key file is not what it should be; nothing was overwritten. Restore a copy. */
  | 'coord/state-damaged'
  /** A later version wrote this database: run that version, or restore an older copy. */
  | 'coord/state-newer'
  /** The address or port to listen on cannot be had. */
  | 'coord/listen-failed'
  /** The URL, base domain or certificate handed to the server cannot work. */
  | 'coord/bad-config'
  /** An argument of a call is malformed; the caller mends it. */
  | 'coord/bad-argument'
  /** No such user, node, auth key or login. */
  | 'coord/not-found'
  /** The name is taken, or the thing still has others that depend on it. */
  | 'coord/conflict'
  /** Every address of the range is given out. */
  | 'coord/addresses-exhausted'
  /** No room is left where the database is: make some. Nothing was half-written; the next try may go through. */
  | 'coord/storage-full'
  /** The database may be read and not written: its owner acts. */
  | 'coord/storage-read-only'
  /** The database server does not answer, or hung up; retry. */
  | 'coord/storage-unreachable'
  /** The file is no backup, or not a whole one: take another. */
  | 'coord/backup-damaged'
  /** The server did not answer on its admin socket in time; retry. */
  | 'coord/unreachable'

/** The database cannot just now; what it was asked may be asked again. */
export const isStorageOut = (error: unknown): boolean =>
  isCoded(error) && ['coord/storage-full', 'coord/storage-read-only', 'coord/storage-unreachable'].includes(error.code)

export class CoordError extends CodedError<CoordErrorCode> {}

/** What shall be unique is there already: somebody was faster. Or it is still depended on. Looking again may help. */
export class TakenError extends CoordError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('coord/conflict', message, options)
  }
}
