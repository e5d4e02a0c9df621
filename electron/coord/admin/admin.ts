// What administrators do, as the command line, the app and later the console call it. Arguments come from people and over
// a socket: each is checked here.

import type { Clock } from '../../base/clock.ts'
import { TokensAdmin } from '../api/tokens-admin.ts'
import type { AdviceDesk } from '../advice/advice-desk.ts'
import { adviceInfo, NO_ADVICE, type RelayAdviceInfo } from '../advice/advice-info.ts'
import { authKeyState, newAuthKeySecret, type AuthKeyState } from '../auth-key.ts'
import { CoordError } from '../errors.ts'
import { DerpMapAdmin } from '../derp-map/derp-map-admin.ts'
import { DnsAdmin } from '../dns/dns-admin.ts'
import { shownCode } from '../identity/codes.ts'
import { OidcAdmin } from '../identity/oidc/oidc-admin.ts'
import { createEnrolLink, PUBLIC_URL } from '../identity/enrol-links.ts'
import type { ServerSecrets } from '../identity/server-secrets.ts'
import { setupCode } from '../identity/setup-code.ts'
import { openProvidersOf } from '../identity/ways.ts'
import type { PendingLogins } from '../login/pending-logins.ts'
import { isExpired, ROLES, type AuthKey, type Node, type NodeId, type Role, type User, type UserId } from '../model.ts'
import { ImportAdmin } from '../import/import-admin.ts'
import { isLabel, sanitiseLabel } from '../names.ts'
import { PolicyAdmin } from '../policy/policy-admin.ts'
import type { Registrar } from '../registrar.ts'
import type { Registry, RegistryTransaction } from '../registry.ts'
import { changeApproval, deviceApproval } from '../nodes/device-approval.ts'
import { checkedTags, NodesAdmin } from '../nodes/nodes-admin.ts'
import { type ServedRoutes, SERVES_NOTHING } from '../routes/route-table.ts'
import { RoutesAdmin } from '../routes/routes-admin.ts'
import type { DerpMapInput } from '../../wire/tailcfg/derp-map.ts'
import type { EnrolPurpose } from '../store/identity-store.ts'
import type { AuditEntry } from '../store/store.ts'
import type {
  AuditInfo,
  AuthKeyInfo,
  EnrolLinkInfo,
  LoginInfo,
  NodeInfo,
  NodePathsInfo,
  SettingsInfo,
  SettingsWish,
  SetupCodeInfo,
  UserInfo,
} from './admin-types.ts'
import { auditNames } from './audit-names.ts'

/** Nobody types more than a few; a script that wants more asks again. */
const MOST_AUDIT_ROWS = 1_000
const AUDIT_MS = 24 * 3_600_000
const DEFAULT_KEY_LIFE_MS = 24 * 3_600_000
const LONGEST_KEY_LIFE_MS = 365 * 24 * 3_600_000
export const FIRST_USER = 'owner'

export interface AdminOptions {
  readonly registry: Registry
  readonly registrar: Registrar
  readonly logins: PendingLogins
  readonly secrets: ServerSecrets
  /** Who acts, for the audit log, where a call does not say. */
  readonly actor: string
  readonly isOnline: (id: NodeId) => boolean
  /** The server's own relays; none while it does not run. */
  readonly embeddedDerpMap?: () => DerpMapInput
  /** Left out while no server runs: then nobody serves anything. */
  readonly servedBy?: (id: NodeId) => ServedRoutes
  readonly advice?: () => AdviceDesk | undefined
  readonly clock: Clock
}

export interface NewUserWish {
  readonly name: string
  readonly displayName?: string | undefined
  readonly email?: string | undefined
  readonly role?: Role | undefined
}

export interface NewAuthKeyWish {
  /** May be left out while there is one user, or none: then the first is made. */
  readonly user?: string | undefined
  readonly reusable?: boolean | undefined
  readonly ephemeral?: boolean | undefined
  readonly tags?: readonly string[] | undefined
  /** Its machines need no approval, where the tailnet lets keys say so. */
  readonly preApproved?: boolean | undefined
  /** A day when left out. */
  readonly lifeMs?: number | undefined
}

export class Admin {
  readonly policy: PolicyAdmin
  readonly routes: RoutesAdmin
  readonly dns: DnsAdmin
  readonly derpMap: DerpMapAdmin
  readonly nodes: NodesAdmin
  readonly tokens: TokensAdmin
  readonly imports: ImportAdmin
  readonly oidc: OidcAdmin
  readonly #options: AdminOptions

  constructor(options: AdminOptions) {
    this.#options = options
    this.policy = new PolicyAdmin(options)
    this.nodes = new NodesAdmin({
      registry: options.registry,
      findNode: (which) => this.#node(which),
      findUser: (name) => this.#user(name),
      clock: options.clock,
      actor: options.actor,
    })
    this.oidc = new OidcAdmin(options)
    this.imports = new ImportAdmin({
      ...options,
      policy: this.policy,
      createAuthKey: (wish) => this.createAuthKey(wish),
      revokeAuthKey: (id) => this.revokeAuthKey(id),
    })
    this.tokens = new TokensAdmin({ ...options, findUser: (name) => this.#user(name) })
    this.derpMap = new DerpMapAdmin({
      registry: options.registry,
      embedded: options.embeddedDerpMap ?? (() => ({ regions: new Map() })),
      actor: options.actor,
    })
    this.dns = new DnsAdmin({
      registry: options.registry,
      baseDomain: () => options.registry.tailnet.domain,
      actor: options.actor,
    })
    this.routes = new RoutesAdmin({
      registry: options.registry,
      findNode: (which) => this.#node(which),
      servedBy: options.servedBy ?? (() => SERVES_NOTHING),
      actor: options.actor,
    })
  }

  /** Who acts, where a call does not say. */
  get actor(): string {
    return this.#options.actor
  }

  async listUsers(): Promise<UserInfo[]> {
    return [...this.#options.registry.users()].map((user) => this.#userInfo(user))
  }

  async createUser(wish: NewUserWish, actor = this.#options.actor): Promise<UserInfo> {
    const user = await this.#options.registry.transaction((tx) => this.insertUser(tx, wish, actor))
    return this.#userInfo(user)
  }

  /** Inside a transaction of the caller's. The first user of a tailnet is its owner, or nobody could be. */
  async insertUser(tx: RegistryTransaction, wish: NewUserWish, actor: string): Promise<User> {
    const name = checkedUserName(wish.name)
    const role = wish.role ?? 'member'
    if (!ROLES.includes(role)) throw bad(`A role is one of ${ROLES.join(', ')}.`)
    const email = checkedEmail(wish.email)
    const others = await tx.store.users()
    if (others.some((user) => sameName(user.name, name)))
      throw new CoordError('coord/conflict', `There is a user ${name} already.`)
    const user = await tx.insertUser({
      name,
      displayName: checkedDisplayName(wish.displayName ?? name),
      email,
      role: others.length === 0 ? 'owner' : role,
      createdAtMs: this.#options.clock.wallNow(),
    })
    await tx.audit(actor, 'user.create', `user:${user.id}`, `${user.name} (${user.role})`)
    return user
  }

  /** As machines and browsers reach the server; undefined while none ever ran on this state. */
  async publicUrl(): Promise<string | undefined> {
    return this.#options.registry.read((store) => store.setting(PUBLIC_URL))
  }

  /** With which the first account is made at a page; undefined once there is an account. */
  async setupCode(): Promise<SetupCodeInfo | undefined> {
    const { registry, secrets } = this.#options
    return registry.read(async (store) => {
      if (!registry.isServerEmpty) return undefined
      const code = shownCode(await setupCode(store, secrets))
      const publicUrl = await store.setting(PUBLIC_URL)
      // Browsers keep what stands behind the # to themselves.
      return { code, ...(publicUrl !== undefined && { url: `${publicUrl}/account#${code}` }) }
    })
  }

  /** A one-time link with which the person sets how they sign in; a user of that name is made where there is none. */
  async inviteUser(name: string, actor = this.#options.actor): Promise<EnrolLinkInfo> {
    return this.#options.registry.transaction(async (tx) => {
      const known = (await tx.store.users()).find((user) => sameName(user.name, name))
      return this.#enrolLink(tx, known ?? (await this.insertUser(tx, { name }, actor)), 'invite', actor)
    })
  }

  /** For who can sign in no more: what they signed in with before ends when the link is used. */
  async resetUser(name: string, actor = this.#options.actor): Promise<EnrolLinkInfo> {
    const user = this.#user(name)
    return this.#options.registry.transaction((tx) => this.#enrolLink(tx, user, 'reset', actor))
  }

  /** The URL of a page where the user adds a passkey or a password; good once, for some minutes. */
  async createEnrolLink(userId: UserId, actor = 'app'): Promise<string> {
    const user = this.#options.registry.user(userId)
    if (!user) throw new CoordError('coord/not-found', `There is no user ${userId}.`)
    return (await this.#options.registry.transaction((tx) => this.#enrolLink(tx, user, 'add', actor))).url
  }

  /** What the user can sign in with by now. */
  async signInMethods(
    userId: UserId,
  ): Promise<{ readonly passkeys: number; readonly password: boolean; readonly providers: number }> {
    return this.#options.registry.transaction(async (tx) => ({
      passkeys: (await tx.store.identity.passkeysOf(userId)).length,
      password: (await tx.store.identity.passwordOf(userId)) !== undefined,
      providers: await openProvidersOf(tx.store.identity, userId, this.#options.clock.wallNow()),
    }))
  }

  async #enrolLink(tx: RegistryTransaction, user: User, purpose: EnrolPurpose, actor: string): Promise<EnrolLinkInfo> {
    const nowMs = this.#options.clock.wallNow()
    const { url, expiresAtMs } = await createEnrolLink(tx, user, purpose, { nowMs, actor })
    return { user: user.name, url, expiresAt: timeText(expiresAtMs) }
  }

  async renameUser(name: string, to: string, actor = this.#options.actor): Promise<UserInfo> {
    const user = this.#user(name)
    const wanted = checkedUserName(to)
    await this.#options.registry.transaction(async (tx) => {
      const others = (await tx.store.users()).filter(({ id }) => id !== user.id)
      if (others.some((other) => sameName(other.name, wanted)))
        throw new CoordError('coord/conflict', `There is a user ${wanted} already.`)
      // A display name nobody chose goes along.
      const displayName = user.displayName === user.name ? { displayName: wanted } : {}
      await tx.updateUser(user.id, { name: wanted, ...displayName })
      await tx.audit(actor, 'user.rename', `user:${user.id}`, `${user.name} → ${wanted}`)
    })
    return this.#userInfo(this.#user(wanted))
  }

  /** In this tailnet, at once: sessions, tokens and machines ask for the role each time. */
  async setUserRole(name: string, role: Role, actor = this.#options.actor): Promise<UserInfo> {
    if (!ROLES.includes(role)) throw bad(`A role is one of ${ROLES.join(', ')}.`)
    const { id } = this.#user(name)
    await this.#options.registry.transaction(async (tx) => {
      const users = await tx.store.users()
      const user = users.find((one) => one.id === id)
      if (!user) throw new CoordError('coord/not-found', `There is no user ${name}.`)
      if (user.role === role) return
      if (user.role === 'owner' && users.filter((one) => one.role === 'owner').length === 1)
        throw new CoordError('coord/conflict', `${user.name} is the last owner. Make somebody else an owner first.`)
      await tx.updateUser(id, { role })
      await tx.audit(actor, 'user.role', `user:${id}`, `${user.name}: ${user.role} → ${role}`)
    })
    return this.#userInfo(this.#user(name))
  }

  async deleteUser(name: string, actor = this.#options.actor): Promise<void> {
    const user = this.#user(name)
    await this.#options.registry.transaction(async (tx) => {
      const nodes = this.#nodesOf(user)
      if (nodes.length > 0)
        throw new CoordError(
          'coord/conflict',
          `${user.name} still has ${nodes.length === 1 ? 'a node' : `${nodes.length} nodes`} (${nodes[0]?.name ?? ''}, …); delete them first.`,
        )
      const owners = (await tx.store.users()).filter(({ role }) => role === 'owner')
      if (user.role === 'owner' && owners.length === 1 && [...this.#options.registry.users()].length > 1)
        throw new CoordError(
          'coord/conflict',
          `${user.name} is the last owner of this server. Make somebody else an owner first.`,
        )
      await tx.deleteUser(user.id)
      await tx.audit(actor, 'user.delete', `user:${user.id}`, user.name)
    })
  }

  async listAuthKeys(): Promise<AuthKeyInfo[]> {
    const keys = await this.#options.registry.read((store) => store.authKeys())
    return keys.map((key) => this.#authKeyInfo(key))
  }

  /** `key` is the secret, and this the only time it is shown. */
  async createAuthKey(
    wish: NewAuthKeyWish = {},
    actor = this.#options.actor,
  ): Promise<AuthKeyInfo & { readonly key: string }> {
    const tags = checkedTags(wish.tags ?? [])
    const lifeMs = wish.lifeMs ?? DEFAULT_KEY_LIFE_MS
    if (!Number.isFinite(lifeMs) || lifeMs <= 0 || lifeMs > LONGEST_KEY_LIFE_MS)
      throw bad('An auth key lives between a moment and 365 days, as in --expiry 12h or --expiry 90d.')
    const { id, text, secretHash } = newAuthKeySecret()
    const nowMs = this.#options.clock.wallNow()
    const key = await this.#options.registry.transaction(async (tx) => {
      const user = await this.#userForKey(tx, wish.user, actor)
      const key: AuthKey = {
        id,
        tailnetId: this.#options.registry.tailnet.id,
        userId: user.id,
        reusable: wish.reusable === true,
        ephemeral: wish.ephemeral === true,
        tags,
        createdAtMs: nowMs,
        expiresAtMs: nowMs + lifeMs,
        usedAtMs: undefined,
        revokedAtMs: undefined,
      }
      await tx.store.insertAuthKey(key, secretHash)
      if (wish.preApproved === true) await changeApproval(tx, ({ keys }) => ({ keys: new Set(keys).add(id) }))
      await tx.audit(actor, 'auth-key.create', `auth-key:${id}`, user.name)
      return key
    })
    return { ...this.#authKeyInfo(key), key: text }
  }

  async revokeAuthKey(id: string, actor = this.#options.actor): Promise<void> {
    // People paste what they have: the whole key names itself too.
    const wanted = /^pwkey-auth-([a-z0-9]+)/.exec(id)?.[1] ?? id
    await this.#options.registry.transaction(async (tx) => {
      if (!(await tx.store.authKey(wanted)))
        throw new CoordError('coord/not-found', `There is no auth key ${wanted}; see: peerway coord auth-keys list.`)
      if (await tx.store.revokeAuthKey(wanted, this.#options.clock.wallNow()))
        await tx.audit(actor, 'auth-key.revoke', `auth-key:${wanted}`)
    })
  }

  async listNodes(): Promise<NodeInfo[]> {
    return [...this.#options.registry.nodes()].map((node) => this.#nodeInfo(node))
  }

  async showNode(which: string): Promise<NodeInfo> {
    return this.#nodeInfo(this.#node(which))
  }

  async deleteNode(which: string, actor = this.#options.actor): Promise<void> {
    const node = this.#node(which)
    await this.#options.registry.transaction(async (tx) => {
      await tx.deleteNode(node.id)
      await tx.audit(actor, 'node.delete', `node:${node.id}`, node.name)
    })
  }

  /** From now on, or after a while, the node must log in again, with a new node key. */
  async expireNode(which: string, afterMs: number | 'never' = 0, actor = this.#options.actor): Promise<NodeInfo> {
    const atMs = afterMs === 'never' ? undefined : this.#options.clock.wallNow() + afterMs
    return this.#nodeInfo(await this.nodes.expireAt(which, atMs, actor))
  }

  async tagNode(which: string, tags: readonly string[], actor = this.#options.actor): Promise<NodeInfo> {
    return this.#nodeInfo(await this.nodes.tag(which, tags, actor))
  }

  async approveNode(which: string, actor = this.#options.actor): Promise<NodeInfo> {
    return this.#nodeInfo(await this.nodes.approve(which, actor))
  }

  async settings(): Promise<SettingsInfo> {
    const { name, domain } = this.#options.registry.tailnet
    const { lifetimeMs, renew } = await this.nodes.keySettings()
    return {
      tailnet: name,
      domain,
      deviceApproval: this.nodes.approvalMode,
      ...(lifetimeMs !== undefined && { keyLifetimeMs: lifetimeMs }),
      keyRenewal: renew,
    }
  }

  /** What is left out stays; a lifetime of null is for ever. */
  async setSettings(wish: SettingsWish, actor = this.#options.actor): Promise<SettingsInfo> {
    const { deviceApproval: mode, keyLifetimeMs: lifetimeMs, keyRenewal: renew } = wish
    if (lifetimeMs !== undefined || renew !== undefined) await this.nodes.setKeySettings({ lifetimeMs, renew }, actor)
    if (mode !== undefined) await this.nodes.setApprovalMode(mode, actor)
    return this.settings()
  }

  async moveNode(which: string, userName: string, actor = this.#options.actor): Promise<NodeInfo> {
    return this.#nodeInfo(await this.nodes.move(which, userName, actor))
  }

  async renameNode(which: string, to: string, actor = this.#options.actor): Promise<NodeInfo> {
    const node = this.#node(which)
    if (!isLabel(to)) {
      const near = sanitiseLabel(to)
      throw bad(`"${to}" cannot be a name in DNS${near === '' ? '' : `; "${near}" can`}.`)
    }
    await this.#options.registry.transaction(async (tx) => {
      if (to !== node.name && this.#options.registry.isNameTaken(to))
        throw new CoordError('coord/conflict', `There is a node ${to} already.`)
      await tx.updateNode(node.id, { name: to, nameIsFixed: true })
      await tx.audit(actor, 'node.rename', `node:${node.id}`, `${node.name} → ${to}`)
    })
    return this.showNode(String(node.id))
  }

  /** Which nodes would help as relays, and what relays have brought. */
  async relayAdvice(): Promise<RelayAdviceInfo> {
    const desk = this.#options.advice?.()
    return desk ? adviceInfo(desk, (id) => this.#options.registry.node(id)) : NO_ADVICE
  }

  /** Only machines of which something is known: other programs tell nothing, and no server that does not run knows any. */
  async nodePaths(): Promise<NodePathsInfo[]> {
    const counts = [...(this.#options.advice?.()?.pathCounts() ?? [])]
    return counts.flatMap(([nodeId, { direct, 'peer-relay': peerRelay, derp }]) =>
      this.#options.registry.node(nodeId) ? [{ nodeId, direct, peerRelay, derp }] : [],
    )
  }

  async listLogins(): Promise<LoginInfo[]> {
    return this.#options.logins.all().map((login) => ({
      id: login.id,
      hostname: login.hostinfo.hostname,
      os: login.hostinfo.os,
      source: login.source,
      createdAt: timeText(login.createdAtMs),
    }))
  }

  async approveLogin(loginId: string, userName: string, actor = this.#options.actor): Promise<NodeInfo> {
    const id = /([A-Za-z0-9_-]{8,64})\/?$/.exec(loginId)?.[1] ?? loginId
    const node = await this.#options.registrar.completeLogin(
      id,
      this.#user(userName).id,
      actor,
      this.#options.registry.tailnet.id,
      true,
    )
    return this.showNode(String(node.id))
  }

  async refuseLogin(loginId: string, actor = this.#options.actor): Promise<void> {
    await this.#options.registrar.refuseLogin(loginId, actor)
  }

  /** Of the last day when left out. */
  async auditLog(sinceMs = this.#options.clock.wallNow() - AUDIT_MS): Promise<AuditInfo[]> {
    const entries = await this.auditSince(sinceMs)
    const nameOf = auditNames(this.#options.registry, entries)
    return entries.map(({ atMs, actor, action, subject, detail }) => {
      const [actorName, subjectName] = [nameOf(actor), nameOf(subject)]
      const named = detail && nameOf(detail)
      return {
        at: timeText(atMs),
        actor,
        ...(actorName !== undefined && { actorName }),
        action,
        subject,
        ...(subjectName !== undefined && { subjectName }),
        detail: named === undefined || named === '' ? (detail ?? '') : `${named} (${detail ?? ''})`,
      }
    })
  }

  async auditSince(sinceMs: number): Promise<AuditEntry[]> {
    return this.#options.registry.read((store) => store.auditSince(sinceMs, MOST_AUDIT_ROWS))
  }

  async #userForKey(tx: RegistryTransaction, name: string | undefined, actor: string): Promise<User> {
    const users = await tx.store.users()
    if (users.length === 0) return this.insertUser(tx, { name: name ?? FIRST_USER, role: 'owner' }, actor)
    if (name !== undefined) return this.#user(name)
    const [only, ...others] = users
    if (only && others.length === 0) return only
    const names = users.slice(0, 5).map((user) => user.name)
    throw bad(`Whose key shall it be? Name one with --user: ${names.join(', ')}${users.length > 5 ? ', …' : ''}.`)
  }

  #user(name: string): User {
    for (const user of this.#options.registry.users()) if (sameName(user.name, name)) return user
    throw new CoordError('coord/not-found', `There is no user ${name}; see: peerway coord users list.`)
  }

  /** By id, name, full name or address. */
  #node(which: string): Node {
    const wanted = which.toLowerCase().replace(/\.$/, '')
    const suffix = `.${this.#options.registry.tailnet.domain}`
    const label = wanted.endsWith(suffix) ? wanted.slice(0, -suffix.length) : wanted
    for (const node of this.#options.registry.nodes())
      if ([node.name, node.addressV4, node.addressV6, node.stableId].includes(label)) return node
    const byId = /^\d{1,15}$/.test(wanted) ? this.#options.registry.node(Number(wanted)) : undefined
    if (byId) return byId
    throw new CoordError('coord/not-found', `There is no node ${which}; see: peerway coord nodes list.`)
  }

  #nodesOf(user: User): Node[] {
    return [...this.#options.registry.nodes()].filter((node) => node.userId === user.id)
  }

  #userInfo(user: User): UserInfo {
    return {
      id: user.id,
      name: user.name,
      displayName: user.displayName,
      ...(user.email !== undefined && { email: user.email }),
      role: user.role,
      nodes: this.#nodesOf(user).length,
      createdAt: timeText(user.createdAtMs),
    }
  }

  #authKeyInfo(key: AuthKey): AuthKeyInfo {
    const state: AuthKeyState = authKeyState(key, this.#options.clock.wallNow())
    return {
      id: key.id,
      user: this.#options.registry.user(key.userId)?.name ?? String(key.userId),
      reusable: key.reusable,
      ephemeral: key.ephemeral,
      tags: key.tags,
      preApproved: this.#options.registry.kept(deviceApproval).keys.has(key.id),
      state,
      createdAt: timeText(key.createdAtMs),
      ...(key.expiresAtMs !== undefined && { expiresAt: timeText(key.expiresAtMs) }),
      ...(key.usedAtMs !== undefined && { usedAt: timeText(key.usedAtMs) }),
    }
  }

  #nodeInfo(node: Node): NodeInfo {
    const isOnline = this.#options.isOnline(node.id)
    const { report } = node
    return {
      id: node.id,
      stableId: node.stableId,
      name: node.name,
      dnsName: `${node.name}.${this.#options.registry.tailnet.domain}`,
      hostname: report.hostinfo.hostname,
      user: this.#options.registry.user(node.userId)?.name ?? String(node.userId),
      tags: node.tags,
      addresses: [node.addressV4, node.addressV6],
      online: isOnline,
      ...(!isOnline && report.lastSeenAtMs !== undefined && { lastSeen: timeText(report.lastSeenAtMs) }),
      approved: !this.nodes.isWaiting(node.id),
      expired: isExpired(node, this.#options.clock.wallNow()),
      ...(node.expiresAtMs !== undefined && { expiresAt: timeText(node.expiresAtMs) }),
      ephemeral: node.ephemeral,
      os: report.hostinfo.os,
      clientVersion: report.hostinfo.clientVersion,
      capVersion: report.capVersion,
      homeDerp: report.homeDerp,
      endpoints: report.endpoints,
      nodeKey: node.nodeKey.text,
      machineKey: node.machineKey.text,
      createdAt: timeText(node.createdAtMs),
    }
  }
}

const bad = (text: string): CoordError => new CoordError('coord/bad-argument', text)

const sameName = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase()

/** Throws CoordError 'coord/bad-argument'. */
export function checkedUserName(name: unknown): string {
  if (typeof name !== 'string' || !/^[\p{L}\p{N}][\p{L}\p{N}._@+-]{0,63}$/u.test(name))
    throw bad('A user name has 1 to 64 letters, digits, or . _ @ + - and begins with a letter or digit.')
  return name
}

function checkedDisplayName(name: unknown): string {
  if (typeof name !== 'string' || name.length > 128 || /[\p{Cc}\p{Cf}\p{Cs}]/u.test(name) || name.trim() === '')
    throw bad('A display name has 1 to 128 printable characters.')
  return name.trim()
}

function checkedEmail(email: unknown): string | undefined {
  if (email === undefined) return undefined
  if (typeof email !== 'string' || email.length > 254 || !/^[^\s@]+@[^\s@]+$/.test(email))
    throw bad('An e-mail address looks like anna@example.org.')
  return email
}

const timeText = (ms: number): string => new Date(ms).toISOString()
