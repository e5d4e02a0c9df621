// The seam between the coordination server and whoever knows people: the server hands out the address of a page for each
// machine that wants in, the provider finds out who stands before that page and says so.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/log.ts'
import type { NewUserWish } from '../admin/admin.ts'
import type { ServerSecrets } from '../identity/server-secrets.ts'
import type { User, UserId } from '../model.ts'
import type { Registry, RegistryTransaction } from '../registry.ts'
import type { Store } from '../store/store.ts'

export interface LoginProvider {
  /** Answers every request that is its own, at least below /login/; false leaves it to others. */
  handleHttp(request: IncomingMessage, response: ServerResponse): Promise<boolean>
  close?(): Promise<void>
}

/** What a provider may do. Errors are CoordErrors whose message is fit for the person. */
export interface LoginContext {
  /** The machine that waits at /login/<id>; undefined when it is over or was never begun. */
  pendingLogin(id: string): WaitingMachine | undefined
  /** The person before the page is `userId` and lets the machine in. */
  completeLogin(id: string, userId: UserId): Promise<void>
  refuseLogin(id: string): Promise<void>
  users(): readonly User[]
  createUser(user: NewUserWish): Promise<User>
  /** The same inside a transaction of the provider's. The first user of a server becomes its owner, whatever `role` says. */
  insertUser(tx: RegistryTransaction, user: NewUserWish): Promise<User>
  readonly registry: Registry
  readonly secrets: ServerSecrets
  /** For tables of the provider's own. */
  readonly store: Store
  /** As people type it; no slash at the end. */
  readonly publicUrl: string
  readonly clock: Clock
  readonly log: Logger
}

/** What the page may show. All of it was said by the machine itself. */
export interface WaitingMachine {
  readonly id: string
  readonly hostname: string
  readonly os: string
  /** So that a person can compare it with what the device shows. */
  readonly machineKey: string
  readonly source: string
  readonly createdAtMs: number
}

export type LoginProviderFactory = (context: LoginContext) => Promise<LoginProvider>
