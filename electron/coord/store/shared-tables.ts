// What servers on one PostgreSQL tell each other: a log of what changed, and which nodes each of them has. Written in the
// transaction of the change, so that nobody hears of what was rolled back, and in the order of the transactions, which are
// one at a time over all servers. Not a part of the data: a copy of the database does without.

import { type Kysely, sql } from 'kysely'
import type { NodeId } from '../model.ts'
import type { Tables } from './tables.ts'

export const CHANGES_CHANNEL = 'peerway_coord_changes'
/** Who is further behind reads everything anew. */
const MOST_KEPT = 20_000
const PRUNE_EVERY = 1_000
/** Of rows in one statement. */
const BATCH = 1_000

export const SHARED_TABLES: readonly string[] = [
  `CREATE TABLE IF NOT EXISTS shared_changes
     (seq BIGINT PRIMARY KEY, sender TEXT NOT NULL, news TEXT NOT NULL)`,
  `CREATE TABLE IF NOT EXISTS shared_servers
     (id TEXT PRIMARY KEY, beat_at TIMESTAMPTZ NOT NULL)`,
  `CREATE TABLE IF NOT EXISTS shared_online
     (server_id TEXT NOT NULL REFERENCES shared_servers (id) ON DELETE CASCADE,
      node_id BIGINT NOT NULL,
      PRIMARY KEY (server_id, node_id))`,
  `CREATE TABLE IF NOT EXISTS shared_logins
     (id TEXT PRIMARY KEY, login TEXT NOT NULL, verdict TEXT, ends_at BIGINT NOT NULL)`,
]

/** A login that waits for a person, and what became of it; both as text. */
export interface SharedLogin {
  readonly id: string
  readonly login: string
  readonly verdict: string | null
}

export interface SharedChange {
  readonly seq: number
  readonly sender: string
  readonly news: string
}

export class SharedTables {
  readonly #db: Kysely<Tables>

  constructor(db: Kysely<Tables>) {
    this.#db = db
  }

  async lastSeq(): Promise<number> {
    const { rows } = await sql<{ last: number }>`SELECT coalesce(max(seq), 0) AS last FROM shared_changes`.execute(
      this.#db,
    )
    return rows[0]?.last ?? 0
  }

  /** All after `seq`, in order; undefined when some of them are no longer kept. */
  async since(seq: number): Promise<readonly SharedChange[] | undefined> {
    const { rows } = await sql<SharedChange>`
      SELECT seq, sender, news FROM shared_changes WHERE seq > ${seq} ORDER BY seq`.execute(this.#db)
    const [first] = rows
    if (first) return first.seq === seq + 1 ? rows : undefined
    return (await this.lastSeq()) < seq ? undefined : []
  }

  /** Answers its number. Others are woken as the transaction commits. */
  async append(sender: string, news: string): Promise<number> {
    const { rows } = await sql<{ seq: number }>`
      WITH added AS (
        INSERT INTO shared_changes (seq, sender, news)
        SELECT coalesce(max(seq), 0) + 1, ${sender}::text, ${news}::text FROM shared_changes
        RETURNING seq)
      SELECT seq, pg_notify(${CHANGES_CHANNEL}, seq::text) FROM added`.execute(this.#db)
    const seq = rows[0]?.seq ?? 0
    if (seq % PRUNE_EVERY === 0) await sql`DELETE FROM shared_changes WHERE seq <= ${seq - MOST_KEPT}`.execute(this.#db)
    return seq
  }

  /** This server lives. True when nobody knew: then nobody knows its nodes either. */
  async beat(id: string): Promise<boolean> {
    const { rows } = await sql<{ isNew: boolean }>`
      INSERT INTO shared_servers (id, beat_at) VALUES (${id}, clock_timestamp())
      ON CONFLICT (id) DO UPDATE SET beat_at = excluded.beat_at
      RETURNING (xmax = 0) AS "isNew"`.execute(this.#db)
    return rows[0]?.isNew === true
  }

  async forgetSilent(afterMs: number): Promise<void> {
    await sql`DELETE FROM shared_servers
      WHERE beat_at < clock_timestamp() - ${afterMs}::double precision * interval '1 millisecond'`.execute(this.#db)
  }

  async leave(id: string): Promise<void> {
    await sql`DELETE FROM shared_servers WHERE id = ${id}`.execute(this.#db)
  }

  async servers(): Promise<string[]> {
    const { rows } = await sql<{ id: string }>`SELECT id FROM shared_servers`.execute(this.#db)
    return rows.map(({ id }) => id)
  }

  async online(): Promise<{ readonly server: string; readonly node: NodeId }[]> {
    const { rows } = await sql<{ server: string; node: NodeId }>`
      SELECT server_id AS server, node_id AS node FROM shared_online`.execute(this.#db)
    return rows
  }

  /** All, or those of these ids. */
  async logins(ids?: readonly string[]): Promise<SharedLogin[]> {
    const these =
      ids === undefined ? sql`TRUE` : sql`id IN (SELECT json_array_elements_text(${JSON.stringify(ids)}::json))`
    const { rows } = await sql<SharedLogin>`SELECT id, login, verdict FROM shared_logins WHERE ${these}`.execute(
      this.#db,
    )
    return rows
  }

  /** Also forgets those that are over. */
  async insertLogin(id: string, login: string, nowMs: number, endsAtMs: number): Promise<void> {
    await sql`DELETE FROM shared_logins WHERE ends_at <= ${nowMs}`.execute(this.#db)
    await sql`INSERT INTO shared_logins (id, login, ends_at) VALUES (${id}, ${login}, ${endsAtMs})`.execute(this.#db)
  }

  async deleteLogin(id: string): Promise<void> {
    await sql`DELETE FROM shared_logins WHERE id = ${id}`.execute(this.#db)
  }

  /** False when it is over or settled: of many at once one settles it. */
  async settleLogin(id: string, verdict: string): Promise<boolean> {
    const { rows } = await sql`
      UPDATE shared_logins SET verdict = ${verdict} WHERE id = ${id} AND verdict IS NULL RETURNING id`.execute(this.#db)
    return rows.length === 1
  }

  async setOnline(server: string, ids: readonly NodeId[], isOnline: boolean): Promise<void> {
    for (let from = 0; from < ids.length; from += BATCH) {
      const some = JSON.stringify(ids.slice(from, from + BATCH))
      const nodes = sql`SELECT value::bigint FROM json_array_elements_text(${some}::json)`
      await (
        isOnline
          ? sql`INSERT INTO shared_online (server_id, node_id)
              SELECT ${server}::text, value::bigint FROM json_array_elements_text(${some}::json) ON CONFLICT DO NOTHING`
          : sql`DELETE FROM shared_online WHERE server_id = ${server} AND node_id IN (${nodes})`
      ).execute(this.#db)
    }
  }
}
