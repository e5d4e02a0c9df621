// The schema as queries see it; schema.ts makes it. The same on SQLite and on PostgreSQL: times are milliseconds, truth is 0
// or 1, lists and reports are JSON as text.

import type { Generated } from 'kysely'

export interface Tables {
  tailnets: TailnetsTable
  tailnet_settings: TailnetSettingsTable
  users: UsersTable
  memberships: MembershipsTable
  auth_keys: AuthKeysTable
  nodes: NodesTable
  node_reports: NodeReportsTable
  settings: SettingsTable
  audit: AuditTable
  passkeys: PasskeysTable
  user_handles: UserHandlesTable
  passwords: PasswordsTable
  sessions: SessionsTable
  enrol_tokens: EnrolTokensTable
  totp_secrets: TotpSecretsTable
  recovery_codes: RecoveryCodesTable
  recoveries: RecoveriesTable
  guesses: GuessesTable
  oidc_providers: OidcProvidersTable
  oidc_identities: OidcIdentitiesTable
}

interface TailnetsTable {
  id: Generated<number>
  name: string
  domain: string
  created_at: number
}

interface TailnetSettingsTable {
  tailnet_id: number
  name: string
  value: string
}

interface UsersTable {
  id: Generated<number>
  name: string
  display_name: string
  email: string | null
  created_at: number
}

interface MembershipsTable {
  tailnet_id: number
  user_id: number
  role: string
  is_home: number
}

interface AuthKeysTable {
  id: string
  tailnet_id: number
  secret_hash: Uint8Array
  user_id: number
  reusable: number
  ephemeral: number
  tags: string
  created_at: number
  expires_at: number | null
  used_at: number | null
  revoked_at: number | null
}

interface NodesTable {
  id: Generated<number>
  tailnet_id: number
  stable_id: string
  user_id: number
  machine_key: string
  node_key: string
  name: string
  name_is_fixed: number
  address_v4: string
  address_v6: string
  tags: string
  expires_at: number | null
  created_at: number
  ephemeral: number
  auth_key_id: string | null
}

interface NodeReportsTable {
  node_id: number
  disco_key: string | null
  endpoints: string
  hostinfo: string
  home_derp: number
  cap_version: number
  last_seen: number | null
}

interface SettingsTable {
  name: string
  value: string
}

interface AuditTable {
  id: Generated<number>
  tailnet_id: number | null
  at: number
  actor: string
  action: string
  subject: string
  detail: string
}

interface PasskeysTable {
  id: string
  user_id: number
  public_key: Uint8Array
  counter: number
  transports: string
  rp_id: string
  name: string
  created_at: number
  last_used_at: number | null
}

interface UserHandlesTable {
  user_id: number
  handle: Uint8Array
}

interface PasswordsTable {
  user_id: number
  phc: string
  changed_at: number
}

interface SessionsTable {
  id: Generated<number>
  token_hash: Uint8Array
  user_id: number
  method: string
  source: string
  browser: string
  created_at: number
  used_at: number
}

interface EnrolTokensTable {
  token_hash: Uint8Array
  user_id: number
  purpose: string
  created_at: number
  expires_at: number
  used_at: number | null
}

interface TotpSecretsTable {
  user_id: number
  sealed: Uint8Array
  last_step: number
  created_at: number
}

interface RecoveryCodesTable {
  code_hash: Uint8Array
  user_id: number
  created_at: number
  used_at: number | null
}

interface RecoveriesTable {
  id: Generated<number>
  user_id: number
  helper_id: number
  started_at: number
  ready_at: number
  ended_at: number | null
}

interface GuessesTable {
  subject: string
  failures: number
  ready_at: number
  last_at: number
}

interface OidcProvidersTable {
  id: Generated<number>
  tailnet_id: number
  name: string
  issuer: string
  client_id: string
  sealed_secret: Uint8Array | null
  rules: string
  created_at: number
  leave_at: number | null
}

interface OidcIdentitiesTable {
  provider_id: number
  subject: string
  user_id: number
  shown: string
  group_names: string
  created_at: number
  last_used_at: number
}
