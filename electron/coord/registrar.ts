// Carries out what register-decision.ts decided: one transaction each, so that a key is spent, a node made and the audit
// row written together or not at all.

import { randomBytes } from 'node:crypto'
import type { Clock } from '../base/clock.ts'
import { toHex } from '../base/bytes.ts'
import type { MachinePublic, NodePublic } from '../crypto/keys.ts'
import { type AddressPair, allot, allotIn } from './addresses.ts'
import { parseAuthKey } from './auth-key.ts'
import { CoordError, isStorageOut } from './errors.ts'
import { RateLimiter } from './http/rate-limiter.ts'
import { reservedFor } from './import/imported.ts'
import type { LoginVerdict, PendingLogins } from './login/pending-logins.ts'
import {
  NO_REPORT,
  type AuthKey,
  type HostFacts,
  type Node,
  type NodeId,
  type TailnetId,
  type User,
  type UserId,
} from './model.ts'
import { freeLabel, isNameFor } from './names.ts'
import { changeApproval, deviceApproval, mustWait } from './nodes/device-approval.ts'
import { keyEndsAt, nodeKeys, nodeKeysText } from './nodes/node-keys.ts'
import { addressPool, tagsBeyond } from './policy/new-node.ts'
import { decideRegistration, formerNode, type Decision, type Registration } from './register-decision.ts'
import type { Registry, RegistryTransaction } from './registry.ts'
import type { ServerRegistry } from './server-registry.ts'

export type RegisterAnswer =
  | { readonly kind: 'welcome'; readonly node: Node; readonly user: User; readonly isWaiting: boolean }
  | { readonly kind: 'renew-key' }
  | { readonly kind: 'login'; readonly url: string }
  /** HTTP 200 with an error text for the person. */
  | { readonly kind: 'refused'; readonly text: string }
  | { readonly kind: 'rejected'; readonly status: 400 | 401 | 429; readonly text: string }
  /** The client went away while it waited. */
  | { readonly kind: 'gone' }

export interface Caller {
  /** Proven by the Noise handshake. */
  readonly machineKey: MachinePublic
  /** The address as rate limits count it. */
  readonly source: string
  /** Aborts when the client is gone. */
  readonly signal: AbortSignal
}

export interface RegistrarOptions {
  readonly registry: ServerRegistry
  readonly logins: PendingLogins
  readonly clock: Clock
  /** The page a person opens to approve the login. */
  readonly loginUrl: (loginId: string) => string
}

/** Rows in the audit log about one node. */
const FOREIGN_KEY_ROWS = { perSecond: 0.01, burst: 20 }

const ADDRESS_CURSOR = 'next-address-offset'

export class Registrar {
  readonly #registry: ServerRegistry
  readonly #logins: PendingLogins
  readonly #clock: Clock
  readonly #loginUrl: (loginId: string) => string

  readonly #foreignKeyRows: RateLimiter

  constructor(options: RegistrarOptions) {
    this.#foreignKeyRows = new RateLimiter(options.clock, FOREIGN_KEY_ROWS)
    this.#registry = options.registry
    this.#logins = options.logins
    this.#registry.attachLogins(this.#logins)
    this.#clock = options.clock
    this.#loginUrl = options.loginUrl
  }

  async register(request: Registration, caller: Caller): Promise<RegisterAnswer> {
    // A restart of a machine we know changes nothing, so it needs no store.
    const known = request.authKey === undefined ? this.#kept(request, caller) : undefined
    if (known) return known
    try {
      return await this.#registerAnew(request, caller)
    } catch (error) {
      // Of an auth key nothing can be found out then; who is logged in stays so.
      const answer = isStorageOut(error) ? this.#kept(request, caller) : undefined
      if (!answer) throw error
      return answer
    }
  }

  /** By memory alone: the answer to a machine that is logged in and wants nothing else. */
  #kept(request: Registration, caller: Caller): RegisterAnswer | undefined {
    const decision = decideRegistration(request, {
      nowMs: this.#clock.wallNow(),
      machineKey: caller.machineKey,
      holder: this.#registry.nodeByKey(request.nodeKey),
      ofMachine: this.#registry.nodesOfMachine(caller.machineKey),
      authKey: undefined,
      reserved: undefined,
      tagsBeyond: (tags) => tags,
    })
    return decision.kind === 'keep' ? this.#welcome(decision.node) : undefined
  }

  async #registerAnew(request: Registration, caller: Caller): Promise<RegisterAnswer> {
    const decided = await this.#registry.transaction(async (tx) => {
      const authKey = await provenAuthKey(tx, request.authKey)
      const tailnet = authKey && this.#registry.tailnet(authKey.tailnetId)
      const decision = decideRegistration(request, {
        nowMs: this.#clock.wallNow(),
        machineKey: caller.machineKey,
        holder: this.#registry.nodeByKey(request.nodeKey),
        ofMachine: this.#registry.nodesOfMachine(caller.machineKey),
        authKey,
        reserved: authKey && tailnet && reservedFor(tailnet, authKey.id),
        tagsBeyond: (tags) => (tailnet ? tagsBeyond(tailnet, { userId: authKey.userId, tags: [] }, tags) : tags),
      })
      return this.#apply(tx, decision, request, caller)
    })
    if (typeof decided === 'object') return decided
    return this.#interactive(request, caller, decided)
  }

  /**
   * A person proved to be `userId` and let the waiting machine in: into the tailnet named, or into their own. With
   * `isApproved` somebody who runs the tailnet did. Throws CoordError when the login is no longer there.
   */
  async completeLogin(
    loginId: string,
    userId: UserId,
    actor: string,
    tailnetId?: TailnetId,
    isApproved = false,
  ): Promise<Node> {
    return this.#registry.transaction(async (tx) => {
      const login = this.#logins.get(loginId)
      if (!login)
        throw new CoordError('coord/not-found', 'This login is over or was never begun. Start again on the device.')
      const wanted = tailnetId ?? this.#registry.user(userId)?.homeId
      const tailnet = wanted === undefined ? undefined : this.#registry.tailnet(wanted)
      if (!tailnet?.user(userId)) throw new CoordError('coord/not-found', `There is no user ${userId}.`)
      const holder = this.#registry.nodeByKey(login.nodeKey)
      if (holder && !holder.machineKey.equals(login.machineKey))
        throw new CoordError('coord/conflict', 'The node key of this login belongs to another machine.')
      if (holder && holder.tailnetId !== tailnet.tailnet.id)
        throw new CoordError('coord/conflict', 'The device is logged in to another tailnet. Log it out there first.')
      const tags = [...new Set(login.requestTags)]
      const alien = tagsBeyond(tailnet, { userId, tags: [] }, tags)
      if (alien.length > 0)
        throw new CoordError(
          'coord/conflict',
          `The device wants the tags ${alien.join(', ')}, which the policy does not let ${tailnet.user(userId)?.name ?? 'its owner'} give.`,
        )
      const ofMachine = this.#registry.nodesOfMachine(login.machineKey)
      const former = holder ?? formerNode(ofMachine.filter(isIn(tailnet.tailnet.id)), userId, tags)
      const here = tx.inTailnet(tailnet.tailnet.id)
      const admitted = await this.#admit(here, tailnet, former, {
        ...login,
        userId,
        tags,
        authKeyId: undefined,
        isApproved,
      })
      await here.audit(actor, 'login.approve', `node:${admitted.id}`, `user:${userId}`)
      await tx.settleLogin(loginId, { kind: 'approved', nodeId: admitted.id })
      return admitted
    })
  }

  async refuseLogin(loginId: string, actor: string): Promise<void> {
    await this.#registry.transaction(async (tx) => {
      await tx.settleLogin(loginId, { kind: 'refused', text: 'the login was refused' })
      await tx.audit(actor, 'login.refuse', `login:${loginId}`)
    })
  }

  /** Answers at once, or the id of a login to wait for, or undefined for a new one. */
  async #apply(
    tx: RegistryTransaction,
    decision: Decision,
    request: Registration,
    caller: Caller,
  ): Promise<RegisterAnswer | string | undefined> {
    const nowMs = this.#clock.wallNow()
    switch (decision.kind) {
      case 'reject':
        await this.auditForeignKey(tx, request.nodeKey, caller, 'node.register-rejected')
        return { kind: 'rejected', status: decision.status, text: decision.text }
      case 'refuse':
        return { kind: 'refused', text: decision.text }
      case 'log-out':
        // Now, never the moment the client named: that is in 1970 and would reach every peer.
        await tx.updateNode(decision.node.id, { expiresAtMs: nowMs })
        await tx
          .inTailnet(decision.node.tailnetId)
          .audit(`node:${decision.node.id}`, 'node.log-out', `node:${decision.node.id}`)
        return { kind: 'renew-key' }
      case 'delete':
        await tx.deleteNode(decision.node.id)
        await tx
          .inTailnet(decision.node.tailnetId)
          .audit(`node:${decision.node.id}`, 'node.log-out', `node:${decision.node.id}`, 'ephemeral, deleted')
        return { kind: 'renew-key' }
      case 'renew-key':
        return { kind: 'renew-key' }
      case 'keep':
        return this.#welcome(decision.node)
      case 'shorten':
        await tx
          .inTailnet(decision.node.tailnetId)
          .audit(`node:${decision.node.id}`, 'node.shorten-expiry', `node:${decision.node.id}`)
        await this.#fixExpiry(tx, decision.node)
        return this.#welcome(await tx.updateNode(decision.node.id, { expiresAtMs: decision.expiresAtMs }))
      case 'admit': {
        if (!(await tx.store.spendAuthKey(decision.key.id, nowMs)))
          return { kind: 'refused', text: 'this auth key was already used; create another, or a reusable one' }
        const tailnet = this.#registry.tailnet(decision.key.tailnetId)
        if (!tailnet) throw new CoordError('coord/not-found', 'The tailnet of this auth key is gone.')
        const here = tx.inTailnet(tailnet.tailnet.id)
        const node = await this.#admit(here, tailnet, decision.node, {
          machineKey: caller.machineKey,
          nodeKey: request.nodeKey,
          hostinfo: request.hostinfo,
          capVersion: request.capVersion,
          expiryMs: request.expiryMs,
          userId: decision.key.userId,
          tags: decision.tags,
          ephemeral: decision.key.ephemeral || request.ephemeral,
          authKeyId: decision.key.id,
          isApproved: false,
        })
        await here.audit(`auth-key:${decision.key.id}`, 'node.register', `node:${node.id}`, node.name)
        const isWaiting = deviceApproval
          .parse(await here.store.tailnetSetting(deviceApproval.name))
          .waiting.has(node.id)
        return this.#welcome(node, isWaiting)
      }
      case 'follow':
      case 'ask':
        break
    }
    return decision.kind === 'follow' ? decision.loginId : undefined
  }

  #isWaiting(node: Node): boolean {
    return this.#registry.tailnet(node.tailnetId)?.kept(deviceApproval).waiting.has(node.id) === true
  }

  #welcome(node: Node, isWaiting = this.#isWaiting(node)): RegisterAnswer {
    const user = this.#registry.user(node.userId)
    if (!user)
      throw new CoordError('coord/state-damaged', `Node ${node.id} belongs to user ${node.userId}, who is not there.`)
    return { kind: 'welcome', node, user, isWaiting }
  }

  async #interactive(request: Registration, caller: Caller, loginId: string | undefined): Promise<RegisterAnswer> {
    if (loginId !== undefined) {
      // Another server may have handed out its URL a moment ago.
      if (!this.#logins.get(loginId)) await this.#registry.current()
      const verdict = await this.#logins.wait(loginId, caller.machineKey, request.nodeKey, caller.signal)
      if (!verdict) return { kind: 'gone' }
      const answer = this.#answerTo(verdict)
      if (answer) return answer
    }
    const login = await this.#registry.openLogin({
      machineKey: caller.machineKey,
      nodeKey: request.nodeKey,
      hostinfo: request.hostinfo,
      ephemeral: request.ephemeral,
      capVersion: request.capVersion,
      expiryMs: request.expiryMs,
      requestTags: request.requestTags,
      source: caller.source,
    })
    if (!login) return { kind: 'rejected', status: 429, text: 'too many logins are waiting' }
    return { kind: 'login', url: this.#loginUrl(login.id) }
  }

  #answerTo(verdict: LoginVerdict): RegisterAnswer | undefined {
    if (verdict.kind === 'refused') return { kind: 'refused', text: verdict.text }
    const node = verdict.kind === 'approved' ? this.#registry.node(verdict.nodeId) : undefined
    return node && this.#welcome(node)
  }

  /** A new node, or a known one with a new node key: id, addresses and name stay. */
  async #admit(tx: RegistryTransaction, tailnet: Registry, known: Node | undefined, wanted: Admission): Promise<Node> {
    const nowMs = this.#clock.wallNow()
    const expiresAtMs = keyEndsAt(tailnet.kept(nodeKeys), { tags: wanted.tags, wishMs: wanted.expiryMs }, nowMs)
    if (known)
      return tx.updateNode(known.id, {
        userId: wanted.userId,
        machineKey: wanted.machineKey,
        nodeKey: wanted.nodeKey,
        tags: wanted.tags,
        expiresAtMs,
        ephemeral: wanted.ephemeral,
        authKeyId: wanted.authKeyId,
      })
    const pair = await this.#address(tx, tailnet, wanted)
    const node = await tx.insertNode(
      {
        stableId: `n${toHex(randomBytes(8))}`,
        userId: wanted.userId,
        machineKey: wanted.machineKey,
        nodeKey: wanted.nodeKey,
        name: freeLabel(wanted.hostinfo.hostname, (label) => tailnet.isNameTaken(label)),
        nameIsFixed: false,
        addressV4: pair.v4,
        addressV6: pair.v6,
        tags: wanted.tags,
        expiresAtMs,
        createdAtMs: nowMs,
        ephemeral: wanted.ephemeral,
        authKeyId: wanted.authKeyId,
      },
      { ...NO_REPORT, hostinfo: wanted.hostinfo, capVersion: wanted.capVersion },
    )
    const approval = deviceApproval.parse(await tx.store.tailnetSetting(deviceApproval.name))
    if (!mustWait(approval, wanted)) return node
    await changeApproval(tx, ({ waiting }) => ({ waiting: new Set(waiting).add(node.id) }))
    await tx.audit('coord', 'node.wait', `node:${node.id}`, node.name)
    return node
  }

  async #address(tx: RegistryTransaction, tailnet: Registry, wanted: Admission): Promise<AddressPair> {
    const isTaken = ({ v4, v6 }: AddressPair): boolean => tailnet.isAddressTaken(v4) || tailnet.isAddressTaken(v6)
    const pool = addressPool(tailnet, wanted.userId, wanted.tags)
    if (pool) {
      const pair = allotIn(pool.ranges, isTaken)
      if (pair) return pair
      throw new CoordError(
        'coord/addresses-exhausted',
        `Every address that the policy sets aside for this node (${pool.toTexts().slice(0, 4).join(', ')}) is given out.`,
      )
    }
    const cursor = Number((await tx.store.tailnetSetting(ADDRESS_CURSOR)) ?? 1)
    const pair = allot(cursor, isTaken)
    if (!pair) throw new CoordError('coord/addresses-exhausted', 'Every address of the tailnet is given out.')
    await tx.store.setTailnetSetting(ADDRESS_CURSOR, String(pair.next))
    return pair
  }

  /** An end that somebody chose is not put off by renewal. */
  async #fixExpiry(tx: RegistryTransaction, node: Node): Promise<void> {
    const tailnet = this.#registry.tailnet(node.tailnetId)
    if (!tailnet) return
    const keys = tailnet.kept(nodeKeys)
    const fixed = new Set([...keys.fixed].filter((id) => tailnet.node(id)).concat(node.id))
    await tx.inTailnet(node.tailnetId).setKept('node-keys', nodeKeysText({ ...keys, fixed }))
  }

  /** A machine that wants other tags gets them where its owner, or the tags it has, may give them. */
  async noteTags(id: NodeId, wanted: readonly string[]): Promise<void> {
    const isNews = (node: Node | undefined): node is Node =>
      node !== undefined && wanted.length > 0 && [...wanted].sort().join() !== [...node.tags].sort().join()
    if (!isNews(this.#registry.node(id))) return
    await this.#registry.transaction(async (tx) => {
      const node = this.#registry.node(id)
      const tailnet = node && this.#registry.tailnet(node.tailnetId)
      if (!isNews(node) || !tailnet) return
      const owner = node.tags.length > 0 ? undefined : node.userId
      if (tagsBeyond(tailnet, { userId: owner, tags: node.tags }, wanted).length > 0) return
      const tags = [...new Set(wanted)]
      await tx.updateNode(id, { tags, expiresAtMs: undefined })
      await tx
        .inTailnet(node.tailnetId)
        .audit(`node:${id}`, 'node.tag', `node:${id}`, `${node.name}: ${tags.join(' ')}`)
    })
  }

  /** Somebody named the node key of another machine: a mistake or an attack, but not a way to fill the disk. */
  async auditForeignKey(
    tx: RegistryTransaction,
    nodeKey: NodePublic,
    { machineKey }: Pick<Caller, 'machineKey'>,
    action: string,
  ): Promise<void> {
    const holder = this.#registry.nodeByKey(nodeKey)
    if (!holder || holder.machineKey.equals(machineKey) || !this.#foreignKeyRows.take(String(holder.id))) return
    await tx
      .inTailnet(holder.tailnetId)
      .audit(`machine:${machineKey.text}`, action, `node:${holder.id}`, 'node key of another machine')
  }

  /** A new host name is a new name in DNS, unless an administrator chose one. */
  async noteHostname(id: NodeId, hostname: string): Promise<void> {
    const isNews = (node: Node | undefined): node is Node =>
      node !== undefined && !node.nameIsFixed && !isNameFor(node.name, hostname)
    if (!isNews(this.#registry.node(id))) return
    await this.#registry.transaction(async (tx) => {
      const node = this.#registry.node(id)
      const tailnet = node && this.#registry.tailnet(node.tailnetId)
      if (!isNews(node) || !tailnet) return
      const name = freeLabel(hostname, (label) => label !== node.name && tailnet.isNameTaken(label))
      if (name !== node.name) await tx.updateNode(id, { name })
    })
  }
}

const isIn =
  (tailnetId: TailnetId) =>
  (node: Node): boolean =>
    node.tailnetId === tailnetId

interface Admission {
  readonly machineKey: MachinePublic
  readonly nodeKey: NodePublic
  readonly hostinfo: HostFacts
  readonly capVersion: number
  readonly expiryMs: number | undefined
  readonly userId: UserId
  readonly tags: readonly string[]
  readonly ephemeral: boolean
  readonly authKeyId: string | undefined
  /** By somebody who runs the tailnet. */
  readonly isApproved: boolean
}

async function provenAuthKey(tx: RegistryTransaction, text: string | undefined): Promise<AuthKey | undefined> {
  const parsed = text === undefined ? undefined : parseAuthKey(text)
  const kept = parsed && (await tx.store.authKey(parsed.id))
  return kept && parsed.matches(kept.secretHash) ? kept.key : undefined
}
