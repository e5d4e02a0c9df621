// The seam between the coordination server and whoever knows people: the server hands out the address of a page for each
// machine that wants in, the provider finds out who stands before that page and says so.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/log.ts'
import type { NewUserWish } from '../admin/admin.ts'
import type { ServerSecrets } from '../identity/server-secrets.ts'
import type { TailnetId, User, UserId } from '../model.ts'
import type { RegistryTransaction } from '../registry.ts'
import type { ServerRegistry } from '../server-registry.ts'
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
  /**
   * The person before the page is `userId` and lets the machine in: into the tailnet named, of which they are a member, or
   * into their own.
   */
  completeLogin(id: string, userId: UserId, tailnetId?: TailnetId): Promise<void>
  /** Where the person is a member, their own first. */
  tailnetsOf(userId: UserId): readonly { readonly id: TailnetId; readonly name: string }[]
  refuseLogin(id: string): Promise<void>
  /** All people of the server, with their role at home. */
  users(): readonly User[]
  createUser(user: NewUserWish): Promise<User>
  /**
   * The same inside a transaction of the provider's, with this tailnet as the person's home, or the server's first. The
   * first user of a tailnet becomes its owner, whatever `role` says.
   */
  insertUser(tx: RegistryTransaction, user: NewUserWish, homeId?: TailnetId): Promise<User>
  readonly registry: ServerRegistry
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
