// What coordination servers keep on disk. Asynchronous, so that a database across the network can stand behind it.
// A transaction is alone: whatever it read is still true when it writes, and either all of it is on disk or nothing. A
// statement that fails ends the transaction, whoever catches what it threw.

import type { AuthKey, Node, NodeId, NodeReport, Role, Tailnet, TailnetId, User, UserId } from '../model.ts'
import type { Dumped } from './dump.ts'
import type { IdentityTables } from './identity-store.ts'
import type { SharedTables } from './shared-tables.ts'

export interface Store {
  /**
   * Runs `work` alone; when it throws nothing of it stays. Resolves once its writes are on disk. Throws CoordError:
   * TakenError, storage-full, storage-read-only, storage-unreachable, state-damaged.
   */
  transaction<T>(work: (tx: StoreTransaction) => Promise<T>): Promise<T>
  /**
   * Where servers share the database: calls when another changed something (its number) or may have (undefined). Ends by
   * the function returned.
   */
  listen?(onNews: (seq: number | undefined) => void): () => void
  close(): Promise<void>
}

/** A store as whoever keeps copies of it sees it. */
export interface PortableStore extends Store {
  /** All rows as they were at one moment; others go on meanwhile. */
  dump(): AsyncIterable<Dumped>
  /** In the place of all there is, whole or not at all. Answers how many rows. */
  replaceAll(dump: AsyncIterable<Dumped>): Promise<number>
  /** Whether nobody has used it yet. */
  isUnused(): Promise<boolean>
}

/** There is one in every database. */
export const FIRST_TAILNET: TailnetId = 1

export type NewTailnet = Omit<Tailnet, 'id'>
export type NewUser = Omit<User, 'id' | 'homeId'>
export type UserChange = Partial<Pick<User, 'name' | 'displayName' | 'email' | 'role'>>
export type NewAuthKey = Omit<AuthKey, 'tailnetId'>
export type NewNode = Omit<Node, 'id' | 'tailnetId' | 'report'>
/** The columns registration and administrators may change; never a whole row, so that neither undoes the other. */
export type NodeChange = Partial<
  Pick<
    Node,
    'userId' | 'machineKey' | 'nodeKey' | 'name' | 'nameIsFixed' | 'tags' | 'expiresAtMs' | 'ephemeral' | 'authKeyId'
  >
>

/**
 * Of one tailnet, or of the whole server. In a tailnet every query is about that tailnet alone: what is elsewhere is not
 * there, by whatever number it is asked for. On the server, nothing can be made that belongs to a tailnet.
 */
export interface StoreTransaction {
  readonly tailnetId: TailnetId | undefined
  /** Where servers share the database. */
  readonly shared: SharedTables | undefined
  /** The same transaction, narrowed. */
  inTailnet(id: TailnetId): StoreTransaction
  /** What people sign in with: theirs, not a tailnet's. */
  readonly identity: IdentityTables

  tailnets(): Promise<Tailnet[]>
  insertTailnet(tailnet: NewTailnet): Promise<Tailnet>
  updateTailnet(id: TailnetId, change: Partial<Pick<Tailnet, 'name' | 'domain'>>): Promise<void>
  /** With its policy and keys. Fails while it has members. */
  deleteTailnet(id: TailnetId): Promise<void>

  /** Members, with their role here; on the server all people, with their role at home. */
  users(): Promise<User[]>
  /** A new person whose home is this tailnet. */
  insertUser(user: NewUser): Promise<User>
  /** A role is that in this tailnet; on the server that at home. */
  updateUser(id: UserId, change: UserChange): Promise<void>
  /** The person, where this is their home; else the membership. Fails while they have nodes. */
  deleteUser(id: UserId): Promise<void>
  /** A person of another tailnet becomes a member of this one too. */
  insertMember(id: UserId, role: Role): Promise<User>
  /** All tailnets of a person, home first. */
  tailnetsOf(id: UserId): Promise<TailnetId[]>

  /** All, or those of these numbers that are there. */
  nodes(ids?: readonly NodeId[]): Promise<Node[]>
  insertNode(node: NewNode, report: NodeReport): Promise<Node>
  updateNode(id: NodeId, change: NodeChange): Promise<void>
  writeReport(id: NodeId, report: NodeReport): Promise<void>
  deleteNode(id: NodeId): Promise<void>

  authKeys(): Promise<AuthKey[]>
  /** With the hash of its secret; the secret itself is never kept. */
  authKey(id: string): Promise<{ readonly key: AuthKey; readonly secretHash: Uint8Array } | undefined>
  insertAuthKey(key: NewAuthKey, secretHash: Uint8Array): Promise<void>
  /** False when the key is revoked, or was used and is not reusable: of many at once exactly one succeeds. */
  spendAuthKey(id: string, nowMs: number): Promise<boolean>
  revokeAuthKey(id: string, nowMs: number): Promise<boolean>

  /** Of the server, wherever it is asked. */
  setting(name: string): Promise<string | undefined>
  setSetting(name: string, value: string): Promise<void>
  /** Of this tailnet: its policy, where its addresses go on. */
  tailnetSetting(name: string): Promise<string | undefined>
  setTailnetSetting(name: string, value: string): Promise<void>

  audit(entry: AuditEntry): Promise<void>
  /** Of this tailnet; on the server of all. */
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
