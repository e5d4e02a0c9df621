// What coordination servers keep on disk. Asynchronous, so that a database across the network can stand behind it.
// A transaction is alone: whatever it read is still true when it writes, and either all of it is on disk or nothing.

import type { AuthKey, Node, NodeId, NodeReport, User, UserId } from '../model.ts'
import type { IdentityTables } from './identity-store.ts'

export interface Store {
  /** Runs `work` alone; when it throws nothing of it stays. Resolves once its writes are on disk. */
  transaction<T>(work: (tx: StoreTransaction) => Promise<T>): Promise<T>
  close(): Promise<void>
}

export type NewUser = Omit<User, 'id'>
export type NewNode = Omit<Node, 'id' | 'report'>
/** The columns registration and administrators may change; never a whole row, so that neither undoes the other. */
export type NodeChange = Partial<
  Pick<Node, 'userId' | 'nodeKey' | 'name' | 'nameIsFixed' | 'tags' | 'expiresAtMs' | 'ephemeral' | 'authKeyId'>
>

export interface StoreTransaction {
  /** What people sign in with. */
  readonly identity: IdentityTables

  users(): Promise<User[]>
  insertUser(user: NewUser): Promise<User>
  updateUser(id: UserId, change: Partial<Pick<User, 'name' | 'displayName' | 'email' | 'role'>>): Promise<void>
  deleteUser(id: UserId): Promise<void>

  nodes(): Promise<Node[]>
  insertNode(node: NewNode, report: NodeReport): Promise<Node>
  updateNode(id: NodeId, change: NodeChange): Promise<void>
  writeReport(id: NodeId, report: NodeReport): Promise<void>
  deleteNode(id: NodeId): Promise<void>

  authKeys(): Promise<AuthKey[]>
  /** With the hash of its secret; the secret itself is never kept. */
  authKey(id: string): Promise<{ readonly key: AuthKey; readonly secretHash: Uint8Array } | undefined>
  insertAuthKey(key: AuthKey, secretHash: Uint8Array): Promise<void>
  /** False when the key is revoked, or was used and is not reusable: of many at once exactly one succeeds. */
  spendAuthKey(id: string, nowMs: number): Promise<boolean>
  revokeAuthKey(id: string, nowMs: number): Promise<boolean>

  setting(name: string): Promise<string | undefined>
  setSetting(name: string, value: string): Promise<void>

  audit(entry: AuditEntry): Promise<void>
  auditSince(sinceMs: number, limit: number): Promise<AuditEntry[]>
}

export interface AuditEntry {
  readonly atMs: number
  /** "cli", "node:3", "user:1": who acted. */
  readonly actor: string
  /** "node.register", "auth-key.create": what was done. */
  readonly action: string
  readonly subject: string
  readonly detail: string
}
