// Restoring a backup through the API: the file comes first and is looked into, then somebody who saw what is in it decides.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { MachinePublic } from '../../crypto/keys.ts'
import { codeOf } from '../../base/errors.ts'
import type { RestoreOutcome, Restores, UploadedBackup } from '../backup/restores.ts'
import type { ServerRegistry } from '../server-registry.ts'
import { ApiError } from './api-error.ts'
import type { ApiCaller } from './caller.ts'

const BROKEN: ReadonlySet<string | undefined> = new Set(['ERR_STREAM_PREMATURE_CLOSE', 'ECONNRESET', 'ECONNABORTED'])

export interface RestoreCallsOptions {
  readonly restores: Restores
  readonly registry: ServerRegistry
  readonly serverKey: MachinePublic
  /** Whether the caller owns every tailnet of the server. */
  readonly ownsAll: (caller: ApiCaller) => boolean
}

export class RestoreCalls {
  readonly #options: RestoreCallsOptions

  constructor(options: RestoreCallsOptions) {
    this.#options = options
  }

  /** Nothing is changed yet. Throws ApiError, CoordError. */
  async take(request: IncomingMessage, caller: ApiCaller): Promise<UploadedBackup> {
    this.#check(caller)
    if (!/^application\/octet-stream(;|$)/i.test(request.headers['content-type'] ?? ''))
      throw new ApiError(415, 'api/bad-request', 'The body is the file: Content-Type: application/octet-stream.')
    const { restores, serverKey } = this.#options
    try {
      return await restores.take(request, serverKey)
    } catch (error) {
      if (BROKEN.has(codeOf(error))) throw new ApiError(400, 'api/bad-request', 'The file did not arrive whole.')
      throw error
    }
  }

  /** Answers before the server ends, and with it this connection; what came of it tells `outcome`. */
  async begin(
    { upload, passphrase }: { readonly upload: string; readonly passphrase: string | undefined },
    response: ServerResponse,
    caller: ApiCaller,
  ): Promise<void> {
    this.#check(caller)
    const { restores, registry, serverKey } = this.#options
    if (await registry.hasCompany())
      throw new ApiError(
        409,
        'api/not-alone',
        'Other servers work on the same database. Stop all of them and use "peerway coord restore" on one machine.',
      )
    const { begin } = await restores.prepare(upload, passphrase, serverKey, caller.actor)
    const text = '{"state":"running"}'
    response.writeHead(202, { 'content-type': 'application/json', 'content-length': text.length, connection: 'close' })
    response.end(text, begin)
    // A browser that is gone does not take its decision back.
    response.once('close', begin)
  }

  /** For whoever knows the upload's name: after a restore, there may be no session any more. */
  outcome(upload: string): RestoreOutcome {
    const outcome = this.#options.restores.outcome(upload)
    if (!outcome) throw new ApiError(404, 'api/no-such-thing', 'Nothing is known of that restore.')
    return outcome
  }

  #check(caller: ApiCaller): void {
    if (caller.userId === undefined || !caller.scopes.includes('all') || !this.#options.ownsAll(caller))
      throw new ApiError(403, 'api/not-allowed', 'Only who owns every network of this server may restore it.')
    if (!caller.isFresh)
      throw new ApiError(403, 'api/prove-again', 'Sign in once more first: this replaces everything the server has.')
  }
}
