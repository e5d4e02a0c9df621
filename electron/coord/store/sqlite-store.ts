import { CoordError } from '../errors.ts'
import type { AuthKey, Node, NodeId, NodeReport, User, UserId } from '../model.ts'
import { SqliteIdentity } from './identity-store.ts'
import { auditOf, authKeyOf, blob, nodeOf, userOf } from './rows.ts'
import { migrations } from './schema.ts'
import { SqliteDatabase, type SqlRow, type SqlValue } from './sqlite-database.ts'
import type { AuditEntry, NewNode, NewUser, NodeChange, Store, StoreTransaction } from './store.ts'

const NODE_COLUMNS = `
  nodes.id, stable_id, user_id, machine_key, node_key, name, name_is_fixed, address_v4, address_v6, tags, expires_at,
  created_at, ephemeral, auth_key_id, disco_key, endpoints, hostinfo, home_derp, cap_version, last_seen`

/** Which column each changeable member of a node is kept in; a member without one does not compile. */
const nodeColumns: { [K in keyof NodeChange]-?: (change: NodeChange) => [column: string, value: SqlValue] } = {
  userId: (c) => ['user_id', c.userId ?? null],
  nodeKey: (c) => ['node_key', c.nodeKey?.text ?? null],
  name: (c) => ['name', c.name ?? null],
  nameIsFixed: (c) => ['name_is_fixed', Number(c.nameIsFixed)],
  tags: (c) => ['tags', JSON.stringify(c.tags)],
  expiresAtMs: (c) => ['expires_at', c.expiresAtMs ?? null],
  ephemeral: (c) => ['ephemeral', Number(c.ephemeral)],
  authKeyId: (c) => ['auth_key_id', c.authKeyId ?? null],
}

const USER_COLUMNS = { name: 'name', displayName: 'display_name', email: 'email', role: 'role' } as const

export class SqliteStore implements Store {
  /** For parts that keep tables of their own beside these, as accounts do. Use it inside `transaction` only. */
  readonly database: SqliteDatabase
  readonly #transaction: SqliteTransaction

  private constructor(database: SqliteDatabase) {
    this.database = database
    this.#transaction = new SqliteTransaction(database)
  }

  static open(path: string): SqliteStore {
    return new SqliteStore(SqliteDatabase.open(path, migrations))
  }

  transaction<T>(work: (tx: StoreTransaction) => Promise<T>): Promise<T> {
    return this.database.transaction(() => work(this.#transaction))
  }

  close(): Promise<void> {
    return this.database.close()
  }
}

class SqliteTransaction implements StoreTransaction {
  readonly identity: SqliteIdentity
  readonly #db: SqliteDatabase

  constructor(database: SqliteDatabase) {
    this.identity = new SqliteIdentity(database)
    this.#db = database
  }

  async users(): Promise<User[]> {
    return this.#db.all('SELECT * FROM users ORDER BY id', []).map(userOf)
  }

  async insertUser(user: NewUser): Promise<User> {
    const row = this.#inserted(
      `INSERT INTO users (name, display_name, email, role, created_at) VALUES (?, ?, ?, ?, ?) RETURNING *`,
      [user.name, user.displayName, user.email ?? null, user.role, user.createdAtMs],
    )
    return userOf(row)
  }

  async updateUser(id: UserId, change: Partial<Pick<User, keyof typeof USER_COLUMNS>>): Promise<void> {
    for (const [member, column] of Object.entries(USER_COLUMNS)) {
      if (!(member in change)) continue
      const value = change[member as keyof typeof USER_COLUMNS] ?? null
      this.#mustChange(`UPDATE users SET ${column} = ? WHERE id = ?`, [value, id], `user ${id}`)
    }
  }

  async deleteUser(id: UserId): Promise<void> {
    this.#mustChange('DELETE FROM users WHERE id = ?', [id], `user ${id}`)
  }

  async nodes(): Promise<Node[]> {
    const sql = `SELECT ${NODE_COLUMNS} FROM nodes JOIN node_reports ON node_id = nodes.id ORDER BY nodes.id`
    return this.#db.all(sql, []).map(nodeOf)
  }

  async insertNode(node: NewNode, report: NodeReport): Promise<Node> {
    const row = this.#inserted(
      `INSERT INTO nodes (stable_id, user_id, machine_key, node_key, name, name_is_fixed, address_v4, address_v6, tags,
         expires_at, created_at, ephemeral, auth_key_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`,
      [
        node.stableId,
        node.userId,
        node.machineKey.text,
        node.nodeKey.text,
        node.name,
        Number(node.nameIsFixed),
        node.addressV4,
        node.addressV6,
        JSON.stringify(node.tags),
        node.expiresAtMs ?? null,
        node.createdAtMs,
        Number(node.ephemeral),
        node.authKeyId ?? null,
      ],
    )
    const id = Number(row['id'])
    await this.writeReport(id, report)
    return { ...node, id, report }
  }

  async updateNode(id: NodeId, change: NodeChange): Promise<void> {
    const assignments: string[] = []
    const values: SqlValue[] = []
    for (const [member, columnOf] of Object.entries(nodeColumns)) {
      if (!(member in change)) continue
      const [column, value] = columnOf(change)
      assignments.push(`${column} = ?`)
      values.push(value)
    }
    if (assignments.length === 0) return
    this.#mustChange(`UPDATE nodes SET ${assignments.join(', ')} WHERE id = ?`, [...values, id], `node ${id}`)
  }

  async writeReport(id: NodeId, report: NodeReport): Promise<void> {
    this.#db.run(
      `INSERT INTO node_reports (node_id, disco_key, endpoints, hostinfo, home_derp, cap_version, last_seen)
       SELECT ?, ?, ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM nodes WHERE id = ?)
       ON CONFLICT (node_id) DO UPDATE SET disco_key = excluded.disco_key, endpoints = excluded.endpoints,
         hostinfo = excluded.hostinfo, home_derp = excluded.home_derp, cap_version = excluded.cap_version,
         last_seen = excluded.last_seen`,
      [
        id,
        report.discoKey?.text ?? null,
        JSON.stringify(report.endpoints),
        JSON.stringify(report.hostinfo),
        report.homeDerp,
        report.capVersion,
        report.lastSeenAtMs ?? null,
        id,
      ],
    )
  }

  async deleteNode(id: NodeId): Promise<void> {
    this.#mustChange('DELETE FROM nodes WHERE id = ?', [id], `node ${id}`)
  }

  async authKeys(): Promise<AuthKey[]> {
    return this.#db.all('SELECT * FROM auth_keys ORDER BY created_at, id', []).map(authKeyOf)
  }

  async authKey(id: string): Promise<{ readonly key: AuthKey; readonly secretHash: Uint8Array } | undefined> {
    const row = this.#db.get('SELECT * FROM auth_keys WHERE id = ?', [id])
    return row && { key: authKeyOf(row), secretHash: blob(row, 'secret_hash') }
  }

  async insertAuthKey(key: AuthKey, secretHash: Uint8Array): Promise<void> {
    this.#db.run(
      `INSERT INTO auth_keys (id, secret_hash, user_id, reusable, ephemeral, tags, created_at, expires_at, used_at,
         revoked_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      [
        key.id,
        secretHash,
        key.userId,
        Number(key.reusable),
        Number(key.ephemeral),
        JSON.stringify(key.tags),
        key.createdAtMs,
        key.expiresAtMs ?? null,
        key.usedAtMs ?? null,
        key.revokedAtMs ?? null,
      ],
    )
  }

  async spendAuthKey(id: string, nowMs: number): Promise<boolean> {
    const changed = this.#db.run(
      `UPDATE auth_keys SET used_at = coalesce(used_at, ?)
       WHERE id = ? AND revoked_at IS NULL AND (reusable = 1 OR used_at IS NULL)`,
      [nowMs, id],
    )
    return changed === 1
  }

  async revokeAuthKey(id: string, nowMs: number): Promise<boolean> {
    return this.#db.run('UPDATE auth_keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL', [nowMs, id]) === 1
  }

  async setting(name: string): Promise<string | undefined> {
    const value = this.#db.get('SELECT value FROM settings WHERE name = ?', [name])?.['value']
    return typeof value === 'string' ? value : undefined
  }

  async setSetting(name: string, value: string): Promise<void> {
    this.#db.run('INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)', [name, value])
  }

  async audit(entry: AuditEntry): Promise<void> {
    this.#db.run('INSERT INTO audit (at, actor, action, subject, detail) VALUES (?, ?, ?, ?, ?)', [
      entry.atMs,
      entry.actor,
      entry.action,
      entry.subject,
      entry.detail,
    ])
  }

  async auditSince(sinceMs: number, limit: number): Promise<AuditEntry[]> {
    return this.#db.all('SELECT * FROM audit WHERE at >= ? ORDER BY id LIMIT ?', [sinceMs, limit]).map(auditOf)
  }

  #inserted(sql: string, values: readonly SqlValue[]): SqlRow {
    const row = this.#db.get(sql, values)
    if (!row) throw new CoordError('coord/state-unusable', 'The database gave no row back for a new one.')
    return row
  }

  #mustChange(sql: string, values: readonly SqlValue[], what: string): void {
    if (this.#db.run(sql, values) !== 1) throw new CoordError('coord/not-found', `There is no ${what}.`)
  }
}
