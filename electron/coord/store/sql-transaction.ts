// One transaction, in the queries that SQLite and PostgreSQL both understand.

import { type Expression, type ExpressionBuilder, type Kysely, type SqlBool, type Updateable, sql } from 'kysely'
import { CoordError } from '../errors.ts'
import type { AuthKey, Node, NodeId, NodeReport, Role, Tailnet, TailnetId, User, UserId } from '../model.ts'
import { SqlIdentity } from './identity-store.ts'
import type { SharedTables } from './shared-tables.ts'
import { auditOf, authKeyOf, blob, nodeOf, tailnetOf, userOf } from './rows.ts'
import type {
  AuditEntry,
  NewAuthKey,
  NewNode,
  NewTailnet,
  NewUser,
  NodeChange,
  StoreTransaction,
  UserChange,
} from './store.ts'
import type { Tables } from './tables.ts'

export class SqlTransaction implements StoreTransaction {
  readonly tailnetId: TailnetId | undefined
  readonly identity: SqlIdentity
  readonly shared: SharedTables | undefined
  readonly #db: Kysely<Tables>

  constructor(db: Kysely<Tables>, tailnetId?: TailnetId, shared?: SharedTables) {
    this.shared = shared
    this.tailnetId = tailnetId
    this.identity = new SqlIdentity(db)
    this.#db = db
  }

  inTailnet(id: TailnetId): SqlTransaction {
    return new SqlTransaction(this.#db, id, this.shared)
  }

  /** The tailnet that something is made in. */
  get #here(): TailnetId {
    if (this.tailnetId === undefined) throw new Error('this belongs to a tailnet; say which')
    return this.tailnetId
  }

  async tailnets(): Promise<Tailnet[]> {
    const all = this.#db.selectFrom('tailnets').selectAll().orderBy('id')
    const { tailnetId } = this
    return (await all.$if(tailnetId !== undefined, (q) => q.where('id', '=', tailnetId ?? 0)).execute()).map(tailnetOf)
  }

  async insertTailnet(tailnet: NewTailnet): Promise<Tailnet> {
    const row = await this.#db
      .insertInto('tailnets')
      .values({ name: tailnet.name, domain: tailnet.domain, created_at: tailnet.createdAtMs })
      .returningAll()
      .executeTakeFirstOrThrow()
    return tailnetOf(row)
  }

  async updateTailnet(id: TailnetId, change: Partial<Pick<Tailnet, 'name' | 'domain'>>): Promise<void> {
    if (Object.keys(change).length === 0) return
    const { numUpdatedRows } = await this.#db
      .updateTable('tailnets')
      .set(change)
      .where('id', '=', id)
      .executeTakeFirst()
    mustBeOne(numUpdatedRows, `tailnet ${id}`)
  }

  async deleteTailnet(id: TailnetId): Promise<void> {
    const { numDeletedRows } = await this.#db.deleteFrom('tailnets').where('id', '=', id).executeTakeFirst()
    mustBeOne(numDeletedRows, `tailnet ${id}`)
  }

  async users(): Promise<User[]> {
    return (await this.#users().execute()).map(userOf)
  }

  /** Members of the tailnet, or people in their homes. */
  #users() {
    const { tailnetId } = this
    return this.#db
      .selectFrom('users')
      .innerJoin('memberships as home', (join) =>
        join.onRef('home.user_id', '=', 'users.id').on('home.is_home', '=', 1),
      )
      .innerJoin('memberships as member', 'member.user_id', 'users.id')
      .where((where) =>
        tailnetId === undefined ? where('member.is_home', '=', 1) : where('member.tailnet_id', '=', tailnetId),
      )
      .select(['users.id', 'users.name', 'users.display_name', 'users.email', 'users.created_at'])
      .select(['home.tailnet_id as home_id', 'member.role'])
      .orderBy('users.id')
  }

  async insertUser(user: NewUser): Promise<User> {
    const { id } = await this.#db
      .insertInto('users')
      .values({
        name: user.name,
        display_name: user.displayName,
        email: user.email ?? null,
        created_at: user.createdAtMs,
      })
      .returning('id')
      .executeTakeFirstOrThrow()
    await this.#db
      .insertInto('memberships')
      .values({ tailnet_id: this.#here, user_id: id, role: user.role, is_home: 1 })
      .execute()
    return { ...user, id, homeId: this.#here }
  }

  async updateUser(id: UserId, change: UserChange): Promise<void> {
    const { role } = change
    const row: Updateable<Tables['users']> = {
      ...(change.name !== undefined && { name: change.name }),
      ...(change.displayName !== undefined && { display_name: change.displayName }),
      ...('email' in change && { email: change.email ?? null }),
    }
    if (Object.keys(row).length > 0) {
      await this.#mustBeHere(id)
      await this.#db.updateTable('users').set(row).where('id', '=', id).execute()
    }
    if (role === undefined) return
    const { numUpdatedRows } = await this.#db
      .updateTable('memberships')
      .set({ role })
      .where('user_id', '=', id)
      .where((where) =>
        this.tailnetId === undefined ? where('is_home', '=', 1) : where('tailnet_id', '=', this.tailnetId),
      )
      .executeTakeFirst()
    mustBeOne(numUpdatedRows, `user ${id}`)
  }

  async #mustBeHere(id: UserId): Promise<User> {
    const row = await this.#users().where('users.id', '=', id).executeTakeFirst()
    if (!row) throw new CoordError('coord/not-found', `There is no user ${id}.`)
    return userOf(row)
  }

  async deleteUser(id: UserId): Promise<void> {
    const { homeId } = await this.#mustBeHere(id)
    if (this.tailnetId === undefined || homeId === this.tailnetId)
      await this.#db.deleteFrom('users').where('id', '=', id).execute()
    else
      await this.#db
        .deleteFrom('memberships')
        .where('user_id', '=', id)
        .where('tailnet_id', '=', this.tailnetId)
        .execute()
  }

  async insertMember(id: UserId, role: Role): Promise<User> {
    await this.#db.insertInto('memberships').values({ tailnet_id: this.#here, user_id: id, role, is_home: 0 }).execute()
    return this.#mustBeHere(id)
  }

  async tailnetsOf(id: UserId): Promise<TailnetId[]> {
    const rows = await this.#db
      .selectFrom('memberships')
      .select('tailnet_id')
      .where('user_id', '=', id)
      .orderBy('is_home', 'desc')
      .orderBy('tailnet_id')
      .execute()
    return rows.map((row) => row.tailnet_id)
  }

  async nodes(ids?: readonly NodeId[]): Promise<Node[]> {
    const { tailnetId } = this
    if (ids?.length === 0) return []
    const rows = await this.#db
      .selectFrom('nodes')
      .innerJoin('node_reports', 'node_reports.node_id', 'nodes.id')
      .selectAll()
      .$if(tailnetId !== undefined, (q) => q.where('nodes.tailnet_id', '=', tailnetId ?? 0))
      .$if(ids !== undefined, (q) => q.where('nodes.id', 'in', ids ?? []))
      .orderBy('nodes.id')
      .execute()
    return rows.map(nodeOf)
  }

  async insertNode(node: NewNode, report: NodeReport): Promise<Node> {
    const { id } = await this.#db
      .insertInto('nodes')
      .values({
        tailnet_id: this.#here,
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
    return { ...node, id, tailnetId: this.#here, report }
  }

  async updateNode(id: NodeId, change: NodeChange): Promise<void> {
    const row = nodeRow(change)
    if (Object.keys(row).length === 0) return
    const { numUpdatedRows } = await this.#db
      .updateTable('nodes')
      .set(row)
      .where('id', '=', id)
      .where(this.#inside)
      .executeTakeFirst()
    mustBeOne(numUpdatedRows, `node ${id}`)
  }

  /** For tables with a column tailnet_id: rows of this tailnet, or all on the server. */
  readonly #inside = (where: ExpressionBuilder<Tables, 'nodes' | 'auth_keys' | 'audit'>): Expression<SqlBool> =>
    this.tailnetId === undefined ? where.lit(true) : where('tailnet_id', '=', this.tailnetId)

  async writeReport(id: NodeId, report: NodeReport): Promise<void> {
    const { tailnetId } = this
    await this.#db
      .updateTable('node_reports')
      .set(reportRow(report))
      .where('node_id', '=', id)
      .$if(tailnetId !== undefined, (q) =>
        q.where('node_id', 'in', (from) =>
          from
            .selectFrom('nodes')
            .select('id')
            .where('tailnet_id', '=', tailnetId ?? 0),
        ),
      )
      .execute()
  }

  async deleteNode(id: NodeId): Promise<void> {
    const { numDeletedRows } = await this.#db
      .deleteFrom('nodes')
      .where('id', '=', id)
      .where(this.#inside)
      .executeTakeFirst()
    mustBeOne(numDeletedRows, `node ${id}`)
  }

  async authKeys(): Promise<AuthKey[]> {
    const here = this.#db.selectFrom('auth_keys').selectAll().where(this.#inside)
    return (await here.orderBy('created_at').orderBy('id').execute()).map(authKeyOf)
  }

  async authKey(id: string): Promise<{ readonly key: AuthKey; readonly secretHash: Uint8Array } | undefined> {
    const here = this.#db.selectFrom('auth_keys').selectAll().where('id', '=', id).where(this.#inside)
    const row = await here.executeTakeFirst()
    return row && { key: authKeyOf(row), secretHash: blob(row, 'secret_hash') }
  }

  async insertAuthKey(key: NewAuthKey, secretHash: Uint8Array): Promise<void> {
    await this.#db
      .insertInto('auth_keys')
      .values({
        id: key.id,
        tailnet_id: this.#here,
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
      .where(this.#inside)
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
      .where(this.#inside)
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

  async tailnetSetting(name: string): Promise<string | undefined> {
    const here = this.#db.selectFrom('tailnet_settings').select('value').where('tailnet_id', '=', this.#here)
    return (await here.where('name', '=', name).executeTakeFirst())?.value
  }

  async setTailnetSetting(name: string, value: string): Promise<void> {
    await this.#db
      .insertInto('tailnet_settings')
      .values({ tailnet_id: this.#here, name, value })
      .onConflict((taken) => taken.columns(['tailnet_id', 'name']).doUpdateSet({ value }))
      .execute()
  }

  async audit(entry: AuditEntry): Promise<void> {
    const { atMs, actor, action, subject, detail } = entry
    const row = { tailnet_id: this.tailnetId ?? null, at: atMs, actor, action, subject, detail }
    await this.#db.insertInto('audit').values(row).execute()
  }

  async auditSince(sinceMs: number, limit: number): Promise<AuditEntry[]> {
    const rows = await this.#db
      .selectFrom('audit')
      .selectAll()
      .where('at', '>=', sinceMs)
      .where(this.#inside)
      .orderBy('id')
      .limit(limit)
      .execute()
    return rows.map(auditOf)
  }
}

/** Which column each changeable member of a node is kept in; a member without one does not compile. */
const nodeColumns: { [K in keyof NodeChange]-?: (change: NodeChange) => Updateable<Tables['nodes']> } = {
  userId: ({ userId }) => (userId === undefined ? {} : { user_id: userId }),
  machineKey: ({ machineKey }) => (machineKey === undefined ? {} : { machine_key: machineKey.text }),
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
