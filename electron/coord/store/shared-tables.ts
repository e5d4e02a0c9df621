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
/** Of token buckets. */
const MOST_LIMITS = 65_536
const PRUNE_LIMITS_EVERY = 256
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
  `CREATE TABLE IF NOT EXISTS shared_ceremonies
     (seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
      visitor TEXT NOT NULL, source TEXT NOT NULL, sealed BYTEA NOT NULL, ends_at BIGINT NOT NULL)`,
  `CREATE TABLE IF NOT EXISTS shared_limits
     (subject TEXT PRIMARY KEY, full_at BIGINT NOT NULL)`,
  `CREATE TABLE IF NOT EXISTS shared_regions
     (region BIGINT PRIMARY KEY, server_id TEXT NOT NULL, place TEXT NOT NULL, map TEXT NOT NULL,
      beat_at TIMESTAMPTZ NOT NULL)`,
  'CREATE INDEX IF NOT EXISTS shared_limits_full ON shared_limits (full_at)',
  'CREATE INDEX IF NOT EXISTS shared_ceremonies_source ON shared_ceremonies (kind, source, seq)',
]

/** A DERP region of a server that lives. */
export interface SharedRegion {
  readonly region: number
  readonly server: string
  /** What tells it from others, whatever its number. */
  readonly place: string
  readonly text: string
}

/** A ceremony that has begun. */
export interface SharedCeremony {
  readonly id: string
  readonly kind: string
  /** A hash of the browser's cookie. */
  readonly visitor: string
  readonly source: string
  readonly sealed: Uint8Array
  readonly endsAtMs: number
}

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

  /** Also forgets those that are over, and the oldest where there are too many. */
  async insertCeremony(
    { id, kind, visitor, source, sealed, endsAtMs }: SharedCeremony,
    nowMs: number,
    most: { readonly all: number; readonly ofSource: number },
  ): Promise<void> {
    const oldest = (where: ReturnType<typeof sql>, keep: number) => sql`
      DELETE FROM shared_ceremonies WHERE seq IN
        (SELECT seq FROM shared_ceremonies WHERE ${where} ORDER BY seq DESC OFFSET ${keep})`
    await sql`DELETE FROM shared_ceremonies WHERE ends_at <= ${nowMs}`.execute(this.#db)
    await oldest(sql`kind = ${kind} AND source = ${source}`, most.ofSource - 1).execute(this.#db)
    await oldest(sql`kind = ${kind}`, most.all - 1).execute(this.#db)
    await sql`
      INSERT INTO shared_ceremonies (id, kind, visitor, source, sealed, ends_at)
      VALUES (${id}, ${kind}, ${visitor}, ${source}, ${Buffer.from(sealed)}, ${endsAtMs})`.execute(this.#db)
  }

  /** It is over from now on: of many who come back with it at once, one gets it. */
  async endCeremony(
    id: string,
    kind: string,
    visitor: string,
  ): Promise<Pick<SharedCeremony, 'sealed' | 'endsAtMs'> | undefined> {
    const { rows } = await sql<Pick<SharedCeremony, 'sealed' | 'endsAtMs'>>`
      DELETE FROM shared_ceremonies WHERE id = ${id} AND kind = ${kind} AND visitor = ${visitor}
      RETURNING sealed, ends_at AS "endsAtMs"`.execute(this.#db)
    return rows[0]
  }

  /**
   * A token bucket, of which only the moment is kept when it is full again. False when it is empty. Of a moment farther away
   * than it could be, even with clocks that differ, nothing is believed.
   */
  async takeToken(
    subject: string,
    { perSecond, burst }: { readonly perSecond: number; readonly burst: number },
    nowMs: number,
  ): Promise<boolean> {
    const tokenMs = Math.ceil(1_000 / perSecond)
    const now = Math.round(nowMs)
    if (Math.random() * PRUNE_LIMITS_EVERY < 1) await this.#pruneLimits(now)
    const fullAt = sql`CASE WHEN shared_limits.full_at > ${now + 2 * burst * tokenMs}::bigint THEN ${now}::bigint
      ELSE greatest(shared_limits.full_at, ${now}::bigint) END`
    const { rows } = await sql`
      INSERT INTO shared_limits (subject, full_at) VALUES (${subject}, ${now + tokenMs}::bigint)
      ON CONFLICT (subject) DO UPDATE SET full_at = ${fullAt} + ${tokenMs}::bigint
        WHERE ${fullAt} <= ${now + (burst - 1) * tokenMs}::bigint
      RETURNING subject`.execute(this.#db)
    return rows.length === 1
  }

  async #pruneLimits(now: number): Promise<void> {
    await sql`DELETE FROM shared_limits WHERE full_at <= ${now}`.execute(this.#db)
    await sql`
      DELETE FROM shared_limits WHERE subject IN
        (SELECT subject FROM shared_limits ORDER BY full_at DESC OFFSET ${MOST_LIMITS})`.execute(this.#db)
  }

  async regions(): Promise<SharedRegion[]> {
    const { rows } = await sql<SharedRegion>`
      SELECT region, server_id AS server, place, map AS text FROM shared_regions ORDER BY region`.execute(this.#db)
    return rows
  }

  /** It lives. */
  async putRegion({ region, server, place, text }: SharedRegion): Promise<void> {
    await sql`
      INSERT INTO shared_regions (region, server_id, place, map, beat_at)
      VALUES (${region}, ${server}, ${place}, ${text}, clock_timestamp())
      ON CONFLICT (region) DO UPDATE SET server_id = excluded.server_id, place = excluded.place, map = excluded.map,
        beat_at = excluded.beat_at`.execute(this.#db)
  }

  async deleteRegion(region: number): Promise<void> {
    await sql`DELETE FROM shared_regions WHERE region = ${region}`.execute(this.#db)
  }

  /** How many there were. */
  async deleteRegionsOf(server: string): Promise<number> {
    const { rows } = await sql`DELETE FROM shared_regions WHERE server_id = ${server} RETURNING region`.execute(
      this.#db,
    )
    return rows.length
  }

  /** How many of them were there. */
  async forgetRegions(silentMs: number): Promise<number> {
    const { rows } = await sql`DELETE FROM shared_regions
      WHERE beat_at < clock_timestamp() - ${silentMs}::double precision * interval '1 millisecond'
      RETURNING region`.execute(this.#db)
    return rows.length
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
