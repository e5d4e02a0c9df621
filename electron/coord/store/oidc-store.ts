// Providers whose accounts people sign in with, and which account of theirs belongs to which person. People are told apart
// by provider and subject alone: an e-mail address changes hands.

import type { Kysely } from 'kysely'
import type { TailnetId, UserId } from '../model.ts'
import { blob, int, json, maybe, reading, strings, text, type SqlRow } from './rows.ts'
import type { Tables } from './tables.ts'

export type ProviderId = number

export interface OidcProvider {
  readonly id: ProviderId
  /** Whose people sign in by it: those who have their home there. */
  readonly tailnetId: TailnetId
  /** A label, unique: in the redirect address, and after the @ of its groups. */
  readonly name: string
  /** Unique in the tailnet. */
  readonly issuer: string
  readonly clientId: string
  /** Readable by this server alone; undefined for a client without one. */
  readonly sealedSecret: Uint8Array | undefined
  /** JSON; see identity/oidc/provider-rules.ts. */
  readonly rules: string
  readonly createdAtMs: number
  /** From then on nobody signs in by it; undefined while nobody wants to leave it. */
  readonly leaveAtMs: number | undefined
}

export interface OidcIdentity {
  readonly providerId: ProviderId
  /** Never given to somebody else by the provider (OpenID Connect Core §2, "sub"). */
  readonly subject: string
  readonly userId: UserId
  /** As the person knows it: an address or a name. For reading only. */
  readonly shown: string
  /** At the last sign-in, as the provider wrote them. */
  readonly groups: readonly string[]
  readonly createdAtMs: number
  readonly lastUsedAtMs: number
}

/** Part of a transaction. */
export interface OidcTables {
  providers(): Promise<OidcProvider[]>
  insertProvider(provider: Omit<OidcProvider, 'id'>): Promise<OidcProvider>
  updateProvider(
    id: ProviderId,
    change: Partial<Omit<OidcProvider, 'id' | 'tailnetId' | 'issuer' | 'createdAtMs'>>,
  ): Promise<void>
  /** And all that people signed in with there. */
  deleteProvider(id: ProviderId): Promise<void>

  identity(providerId: ProviderId, subject: string): Promise<OidcIdentity | undefined>
  identitiesOf(userId: UserId): Promise<OidcIdentity[]>
  identitiesAt(providerId: ProviderId): Promise<OidcIdentity[]>
  /** Who signs in by it and by nothing else that lasts: a passkey counts for these host names, a provider unless it is left. */
  dependents(providerId: ProviderId, hosts: readonly string[]): Promise<UserId[]>
  /** Of all people, as policies write them: group@provider. */
  groups(): Promise<Map<UserId, string[]>>
  /** Of one. */
  groupsOf(userId: UserId): Promise<string[]>
  insertIdentity(identity: OidcIdentity): Promise<void>
  noteIdentityUse(
    identity: Pick<OidcIdentity, 'providerId' | 'subject' | 'shown' | 'groups' | 'lastUsedAtMs'>,
  ): Promise<void>
  /** False when the user has no such identity. */
  deleteIdentity(userId: UserId, providerId: ProviderId, subject: string): Promise<boolean>
}

export class SqlOidc implements OidcTables {
  readonly #db: Kysely<Tables>

  constructor(db: Kysely<Tables>) {
    this.#db = db
  }

  async providers(): Promise<OidcProvider[]> {
    return (await this.#db.selectFrom('oidc_providers').selectAll().orderBy('id').execute()).map(providerOf)
  }

  async insertProvider(provider: Omit<OidcProvider, 'id'>): Promise<OidcProvider> {
    const row = await this.#db
      .insertInto('oidc_providers')
      .values({
        tailnet_id: provider.tailnetId,
        name: provider.name,
        issuer: provider.issuer,
        client_id: provider.clientId,
        sealed_secret: provider.sealedSecret ?? null,
        rules: provider.rules,
        created_at: provider.createdAtMs,
        leave_at: provider.leaveAtMs ?? null,
      })
      .returning('id')
      .executeTakeFirstOrThrow()
    return { ...provider, id: reading('oidc_providers', () => int(row, 'id')) }
  }

  async updateProvider(
    id: ProviderId,
    change: Partial<Omit<OidcProvider, 'id' | 'tailnetId' | 'issuer' | 'createdAtMs'>>,
  ): Promise<void> {
    const row = {
      ...(change.name !== undefined && { name: change.name }),
      ...(change.clientId !== undefined && { client_id: change.clientId }),
      ...('sealedSecret' in change && { sealed_secret: change.sealedSecret ?? null }),
      ...(change.rules !== undefined && { rules: change.rules }),
      ...('leaveAtMs' in change && { leave_at: change.leaveAtMs ?? null }),
    }
    if (Object.keys(row).length > 0)
      await this.#db.updateTable('oidc_providers').set(row).where('id', '=', id).execute()
  }

  async deleteProvider(id: ProviderId): Promise<void> {
    await this.#db.deleteFrom('oidc_providers').where('id', '=', id).execute()
  }

  async identity(providerId: ProviderId, subject: string): Promise<OidcIdentity | undefined> {
    const row = await this.#db
      .selectFrom('oidc_identities')
      .selectAll()
      .where('provider_id', '=', providerId)
      .where('subject', '=', subject)
      .executeTakeFirst()
    return row && identityOf(row)
  }

  async identitiesOf(userId: UserId): Promise<OidcIdentity[]> {
    const ofUser = this.#db.selectFrom('oidc_identities').selectAll().where('user_id', '=', userId)
    return (await ofUser.orderBy('created_at').orderBy('subject').execute()).map(identityOf)
  }

  async identitiesAt(providerId: ProviderId): Promise<OidcIdentity[]> {
    const there = this.#db.selectFrom('oidc_identities').selectAll().where('provider_id', '=', providerId)
    return (await there.orderBy('user_id').orderBy('subject').execute()).map(identityOf)
  }

  async dependents(providerId: ProviderId, hosts: readonly string[]): Promise<UserId[]> {
    const rows = await this.#db
      .selectFrom('oidc_identities as here')
      .select('here.user_id')
      .distinct()
      .where('here.provider_id', '=', providerId)
      .where((where) =>
        where.not(
          where.exists(
            where.selectFrom('passwords').select('user_id').whereRef('passwords.user_id', '=', 'here.user_id'),
          ),
        ),
      )
      .where((where) =>
        where.not(
          where.exists(
            where
              .selectFrom('passkeys')
              .select('id')
              .whereRef('passkeys.user_id', '=', 'here.user_id')
              .where('passkeys.rp_id', 'in', hosts),
          ),
        ),
      )
      .where((where) =>
        where.not(
          where.exists(
            where
              .selectFrom('oidc_identities as other')
              .innerJoin('oidc_providers', 'oidc_providers.id', 'other.provider_id')
              .select('other.subject')
              .whereRef('other.user_id', '=', 'here.user_id')
              .where('other.provider_id', '<>', providerId)
              .where('oidc_providers.leave_at', 'is', null),
          ),
        ),
      )
      .orderBy('here.user_id')
      .execute()
    return rows.map((row) => reading('oidc_identities', () => int(row, 'user_id')))
  }

  async groups(): Promise<Map<UserId, string[]>> {
    const groups = new Map<UserId, string[]>()
    const names = new Map((await this.providers()).map(({ id, name }) => [id, name]))
    // Without providers, which is how most servers are, no row is read.
    if (names.size === 0) return groups
    const rows = await this.#db.selectFrom('oidc_identities').selectAll().orderBy('user_id').execute()
    for (const { userId, providerId, groups: there } of rows.map(identityOf))
      groups.set(userId, [
        ...(groups.get(userId) ?? []),
        ...there.map((group) => `${group}@${names.get(providerId) ?? ''}`),
      ])
    return groups
  }

  async groupsOf(userId: UserId): Promise<string[]> {
    const names = new Map((await this.providers()).map(({ id, name }) => [id, name]))
    return (await this.identitiesOf(userId)).flatMap(({ providerId, groups }) =>
      groups.map((group) => `${group}@${names.get(providerId) ?? ''}`),
    )
  }

  async insertIdentity(identity: OidcIdentity): Promise<void> {
    await this.#db
      .insertInto('oidc_identities')
      .values({
        provider_id: identity.providerId,
        subject: identity.subject,
        user_id: identity.userId,
        shown: identity.shown,
        group_names: JSON.stringify(identity.groups),
        created_at: identity.createdAtMs,
        last_used_at: identity.lastUsedAtMs,
      })
      .execute()
  }

  async noteIdentityUse(
    identity: Pick<OidcIdentity, 'providerId' | 'subject' | 'shown' | 'groups' | 'lastUsedAtMs'>,
  ): Promise<void> {
    await this.#db
      .updateTable('oidc_identities')
      .set({
        shown: identity.shown,
        group_names: JSON.stringify(identity.groups),
        last_used_at: identity.lastUsedAtMs,
      })
      .where('provider_id', '=', identity.providerId)
      .where('subject', '=', identity.subject)
      .execute()
  }

  async deleteIdentity(userId: UserId, providerId: ProviderId, subject: string): Promise<boolean> {
    const { numDeletedRows } = await this.#db
      .deleteFrom('oidc_identities')
      .where('provider_id', '=', providerId)
      .where('subject', '=', subject)
      .where('user_id', '=', userId)
      .executeTakeFirst()
    return numDeletedRows === 1n
  }
}

const providerOf = (row: SqlRow): OidcProvider =>
  reading('oidc_providers', () => ({
    id: int(row, 'id'),
    tailnetId: int(row, 'tailnet_id'),
    name: text(row, 'name'),
    issuer: text(row, 'issuer'),
    clientId: text(row, 'client_id'),
    sealedSecret: maybe(row, 'sealed_secret', blob),
    rules: text(row, 'rules'),
    createdAtMs: int(row, 'created_at'),
    leaveAtMs: maybe(row, 'leave_at', int),
  }))

const identityOf = (row: SqlRow): OidcIdentity =>
  reading('oidc_identities', () => ({
    providerId: int(row, 'provider_id'),
    subject: text(row, 'subject'),
    userId: int(row, 'user_id'),
    shown: text(row, 'shown'),
    groups: strings(json(row, 'group_names')),
    createdAtMs: int(row, 'created_at'),
    lastUsedAtMs: int(row, 'last_used_at'),
  }))
