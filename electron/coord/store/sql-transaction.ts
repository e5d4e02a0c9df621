// One transaction, in the queries that SQLite and PostgreSQL both understand.

import { type Kysely, type Updateable, sql } from 'kysely'
import { CoordError } from '../errors.ts'
import type { AuthKey, Node, NodeId, NodeReport, User, UserId } from '../model.ts'
import { SqlIdentity } from './identity-store.ts'
import { auditOf, authKeyOf, blob, nodeOf, userOf } from './rows.ts'
import type { AuditEntry, NewNode, NewUser, NodeChange, StoreTransaction } from './store.ts'
import type { Tables } from './tables.ts'

export class SqlTransaction implements StoreTransaction {
  readonly identity: SqlIdentity
  readonly #db: Kysely<Tables>

  constructor(db: Kysely<Tables>) {
    this.identity = new SqlIdentity(db)
    this.#db = db
  }

  async users(): Promise<User[]> {
    return (await this.#db.selectFrom('users').selectAll().orderBy('id').execute()).map(userOf)
  }

  async insertUser(user: NewUser): Promise<User> {
    const row = await this.#db
      .insertInto('users')
      .values({
        name: user.name,
        display_name: user.displayName,
        email: user.email ?? null,
        role: user.role,
        created_at: user.createdAtMs,
      })
      .returningAll()
      .executeTakeFirstOrThrow()
    return userOf(row)
  }

  async updateUser(id: UserId, change: Partial<Pick<User, 'name' | 'displayName' | 'email' | 'role'>>): Promise<void> {
    const row: Updateable<Tables['users']> = {
      ...(change.name !== undefined && { name: change.name }),
      ...(change.displayName !== undefined && { display_name: change.displayName }),
      ...('email' in change && { email: change.email ?? null }),
      ...(change.role !== undefined && { role: change.role }),
    }
    if (Object.keys(row).length === 0) return
    const { numUpdatedRows } = await this.#db.updateTable('users').set(row).where('id', '=', id).executeTakeFirst()
    mustBeOne(numUpdatedRows, `user ${id}`)
  }

  async deleteUser(id: UserId): Promise<void> {
    const { numDeletedRows } = await this.#db.deleteFrom('users').where('id', '=', id).executeTakeFirst()
    mustBeOne(numDeletedRows, `user ${id}`)
  }

  async nodes(): Promise<Node[]> {
    const rows = await this.#db
      .selectFrom('nodes')
      .innerJoin('node_reports', 'node_reports.node_id', 'nodes.id')
      .selectAll()
      .orderBy('nodes.id')
      .execute()
    return rows.map(nodeOf)
  }

  async insertNode(node: NewNode, report: NodeReport): Promise<Node> {
    const { id } = await this.#db
      .insertInto('nodes')
      .values({
        stable_id: node.stableId,
        user_id: node.userId,
        machine_key: node.machineKey.text,
        node_key: node.nodeKey.text,
        name: node.name,
        name_is_fixed: Number(node.nameIsFixed),
        address_v4: node.addressV4,
        address_v6: node.addressV6,
        tags: JSON.stringify(node.tags),
        expires_at: node.expiresAtMs ?? null,
        created_at: node.createdAtMs,
        ephemeral: Number(node.ephemeral),
        auth_key_id: node.authKeyId ?? null,
      })
      .returning('id')
      .executeTakeFirstOrThrow()
    await this.#db
      .insertInto('node_reports')
      .values({ node_id: id, ...reportRow(report) })
      .execute()
    return { ...node, id, report }
  }

  async updateNode(id: NodeId, change: NodeChange): Promise<void> {
    const row = nodeRow(change)
    if (Object.keys(row).length === 0) return
    const { numUpdatedRows } = await this.#db.updateTable('nodes').set(row).where('id', '=', id).executeTakeFirst()
    mustBeOne(numUpdatedRows, `node ${id}`)
  }

  async writeReport(id: NodeId, report: NodeReport): Promise<void> {
    await this.#db.updateTable('node_reports').set(reportRow(report)).where('node_id', '=', id).execute()
  }

  async deleteNode(id: NodeId): Promise<void> {
    const { numDeletedRows } = await this.#db.deleteFrom('nodes').where('id', '=', id).executeTakeFirst()
    mustBeOne(numDeletedRows, `node ${id}`)
  }

  async authKeys(): Promise<AuthKey[]> {
    return (await this.#db.selectFrom('auth_keys').selectAll().orderBy('created_at').orderBy('id').execute()).map(
      authKeyOf,
    )
  }

  async authKey(id: string): Promise<{ readonly key: AuthKey; readonly secretHash: Uint8Array } | undefined> {
    const row = await this.#db.selectFrom('auth_keys').selectAll().where('id', '=', id).executeTakeFirst()
    return row && { key: authKeyOf(row), secretHash: blob(row, 'secret_hash') }
  }

  async insertAuthKey(key: AuthKey, secretHash: Uint8Array): Promise<void> {
    await this.#db
      .insertInto('auth_keys')
      .values({
        id: key.id,
        secret_hash: secretHash,
        user_id: key.userId,
        reusable: Number(key.reusable),
        ephemeral: Number(key.ephemeral),
        tags: JSON.stringify(key.tags),
        created_at: key.createdAtMs,
        expires_at: key.expiresAtMs ?? null,
        used_at: key.usedAtMs ?? null,
        revoked_at: key.revokedAtMs ?? null,
      })
      .execute()
  }

  async spendAuthKey(id: string, nowMs: number): Promise<boolean> {
    const { numUpdatedRows } = await this.#db
      .updateTable('auth_keys')
      .set({ used_at: sql<number>`coalesce(used_at, ${nowMs})` })
      .where('id', '=', id)
      .where('revoked_at', 'is', null)
      .where((where) => where.or([where('reusable', '=', 1), where('used_at', 'is', null)]))
      .executeTakeFirst()
    return numUpdatedRows === 1n
  }

  async revokeAuthKey(id: string, nowMs: number): Promise<boolean> {
    const { numUpdatedRows } = await this.#db
      .updateTable('auth_keys')
      .set({ revoked_at: nowMs })
      .where('id', '=', id)
      .where('revoked_at', 'is', null)
      .executeTakeFirst()
    return numUpdatedRows === 1n
  }

  async setting(name: string): Promise<string | undefined> {
    const row = await this.#db.selectFrom('settings').select('value').where('name', '=', name).executeTakeFirst()
    return row?.value
  }

  async setSetting(name: string, value: string): Promise<void> {
    await this.#db
      .insertInto('settings')
      .values({ name, value })
      .onConflict((taken) => taken.column('name').doUpdateSet({ value }))
      .execute()
  }

  async audit(entry: AuditEntry): Promise<void> {
    const { atMs, actor, action, subject, detail } = entry
    await this.#db.insertInto('audit').values({ at: atMs, actor, action, subject, detail }).execute()
  }

  async auditSince(sinceMs: number, limit: number): Promise<AuditEntry[]> {
    const rows = await this.#db
      .selectFrom('audit')
      .selectAll()
      .where('at', '>=', sinceMs)
      .orderBy('id')
      .limit(limit)
      .execute()
    return rows.map(auditOf)
  }
}

/** Which column each changeable member of a node is kept in; a member without one does not compile. */
const nodeColumns: { [K in keyof NodeChange]-?: (change: NodeChange) => Updateable<Tables['nodes']> } = {
  userId: ({ userId }) => (userId === undefined ? {} : { user_id: userId }),
  nodeKey: ({ nodeKey }) => (nodeKey === undefined ? {} : { node_key: nodeKey.text }),
  name: ({ name }) => (name === undefined ? {} : { name }),
  nameIsFixed: ({ nameIsFixed }) => (nameIsFixed === undefined ? {} : { name_is_fixed: Number(nameIsFixed) }),
  tags: ({ tags }) => (tags === undefined ? {} : { tags: JSON.stringify(tags) }),
  expiresAtMs: ({ expiresAtMs }) => ({ expires_at: expiresAtMs ?? null }),
  ephemeral: ({ ephemeral }) => (ephemeral === undefined ? {} : { ephemeral: Number(ephemeral) }),
  authKeyId: ({ authKeyId }) => ({ auth_key_id: authKeyId ?? null }),
}

function nodeRow(change: NodeChange): Updateable<Tables['nodes']> {
  const columns = Object.entries(nodeColumns).filter(([member]) => member in change)
  return Object.assign({}, ...columns.map(([, columnOf]) => columnOf(change)))
}

function reportRow(report: NodeReport): Omit<Tables['node_reports'], 'node_id'> {
  return {
    disco_key: report.discoKey?.text ?? null,
    endpoints: JSON.stringify(report.endpoints),
    hostinfo: JSON.stringify(report.hostinfo),
    home_derp: report.homeDerp,
    cap_version: report.capVersion,
    last_seen: report.lastSeenAtMs ?? null,
  }
}

function mustBeOne(rows: bigint, what: string): void {
  if (rows !== 1n) throw new CoordError('coord/not-found', `There is no ${what}.`)
}
