import type { Migration } from './sqlite-database.ts'

/** Append only: what is released stays as it is, and a dump of each released version stays in the tests. */
export const migrations: readonly Migration[] = [
  `
  CREATE TABLE users (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    name         TEXT NOT NULL UNIQUE COLLATE NOCASE,
    display_name TEXT NOT NULL,
    email        TEXT,
    role         TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'auditor')),
    created_at   INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE auth_keys (
    id          TEXT PRIMARY KEY,
    secret_hash BLOB NOT NULL,
    user_id     INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    reusable    INTEGER NOT NULL,
    ephemeral   INTEGER NOT NULL,
    tags        TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER,
    used_at     INTEGER,
    revoked_at  INTEGER
  ) STRICT;

  CREATE TABLE nodes (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    stable_id     TEXT NOT NULL UNIQUE,
    user_id       INTEGER NOT NULL REFERENCES users (id) ON DELETE RESTRICT,
    machine_key   TEXT NOT NULL,
    node_key      TEXT NOT NULL UNIQUE,
    name          TEXT NOT NULL UNIQUE,
    name_is_fixed INTEGER NOT NULL,
    address_v4    TEXT NOT NULL UNIQUE,
    address_v6    TEXT NOT NULL UNIQUE,
    tags          TEXT NOT NULL,
    expires_at    INTEGER,
    created_at    INTEGER NOT NULL,
    ephemeral     INTEGER NOT NULL,
    auth_key_id   TEXT
  ) STRICT;

  CREATE TABLE node_reports (
    node_id     INTEGER PRIMARY KEY REFERENCES nodes (id) ON DELETE CASCADE,
    disco_key   TEXT,
    endpoints   TEXT NOT NULL,
    hostinfo    TEXT NOT NULL,
    home_derp   INTEGER NOT NULL,
    cap_version INTEGER NOT NULL,
    last_seen   INTEGER
  ) STRICT;

  CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
  ) STRICT;

  CREATE TABLE audit (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail  TEXT NOT NULL
  ) STRICT;
  CREATE INDEX audit_at ON audit (at);
  `,
  `
  CREATE TABLE passkeys (
    id           TEXT PRIMARY KEY,
    user_id      INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    public_key   BLOB NOT NULL,
    counter      INTEGER NOT NULL,
    transports   TEXT NOT NULL,
    rp_id        TEXT NOT NULL,
    name         TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER
  ) STRICT;
  CREATE INDEX passkeys_user ON passkeys (user_id);

  CREATE TABLE user_handles (
    user_id INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    handle  BLOB NOT NULL UNIQUE
  ) STRICT;

  CREATE TABLE passwords (
    user_id    INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    phc        TEXT NOT NULL,
    changed_at INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE sessions (
    token_hash BLOB PRIMARY KEY,
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    method     TEXT NOT NULL CHECK (method IN ('passkey', 'password')),
    created_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX sessions_user ON sessions (user_id);

  CREATE TABLE enrol_tokens (
    token_hash BLOB PRIMARY KEY,
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose    TEXT NOT NULL CHECK (purpose IN ('invite', 'add', 'reset')),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER
  ) STRICT;
  `,
  `
  CREATE TABLE sessions_with_place (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    token_hash BLOB NOT NULL UNIQUE,
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    method     TEXT NOT NULL,
    source     TEXT NOT NULL,
    browser    TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL
  ) STRICT;
  INSERT INTO sessions_with_place (token_hash, user_id, method, source, browser, created_at, used_at)
    SELECT token_hash, user_id, method, '', '', created_at, used_at FROM sessions;
  DROP TABLE sessions;
  ALTER TABLE sessions_with_place RENAME TO sessions;
  CREATE INDEX sessions_user ON sessions (user_id);

  CREATE TABLE totp_secrets (
    user_id    INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    sealed     BLOB NOT NULL,
    last_step  INTEGER NOT NULL,
    created_at INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE recovery_codes (
    code_hash  BLOB PRIMARY KEY,
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    used_at    INTEGER
  ) STRICT;
  CREATE INDEX recovery_codes_user ON recovery_codes (user_id);

  CREATE TABLE recoveries (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    helper_id  INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    started_at INTEGER NOT NULL,
    ready_at   INTEGER NOT NULL,
    ended_at   INTEGER
  ) STRICT;
  CREATE INDEX recoveries_user ON recoveries (user_id);

  CREATE TABLE guesses (
    subject  TEXT PRIMARY KEY,
    failures INTEGER NOT NULL,
    ready_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX guesses_last ON guesses (last_at);
  `,
]
