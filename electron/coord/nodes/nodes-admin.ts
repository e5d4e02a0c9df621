// What administrators change about a node beyond its name: whose it is, its tags, and when its key ends.

import type { Clock } from '../../base/clock.ts'
import { CoordError } from '../errors.ts'
import type { Node, NodeId, User } from '../model.ts'
import type { Registry, RegistryTransaction } from '../registry.ts'
import { type ApprovalMode, APPROVAL_MODES, changeApproval, deviceApproval } from './device-approval.ts'
import { keyEndsAt, nodeKeys, type NodeKeySettings, nodeKeysText } from './node-keys.ts'

const MOST_TAGS = 64
/** tailcfg CheckTag, in lower case as names are (control.md §4.7). */
const TAG = /^tag:[a-z][a-z0-9-]{0,62}$/
const SHORTEST_LIFETIME_MS = 3_600_000
const LONGEST_LIFETIME_MS = 10 * 365 * 24 * 3_600_000
/** A wish for "now" is as old as its way here. */
const NOW_SLACK_MS = 60_000

export interface NodesAdminOptions {
  readonly registry: Registry
  readonly findNode: (which: string) => Node
  readonly findUser: (name: string) => User
  readonly clock: Clock
  readonly actor: string
}

export interface NodeKeyInfo {
  /** Left out: for ever. */
  readonly lifetimeMs?: number
  readonly renew: boolean
}

export class NodesAdmin {
  readonly #options: NodesAdminOptions

  constructor(options: NodesAdminOptions) {
    this.#options = options
  }

  /** All tags it shall have. With some the node is nobody's and its key never ends; with none it is its person's again. */
  async tag(which: string, tags: readonly string[], actor = this.#options.actor): Promise<Node> {
    const node = this.#options.findNode(which)
    const wanted = checkedTags(tags)
    const nowMs = this.#options.clock.wallNow()
    return this.#change(node, actor, 'node.tag', wanted.join(' ') || 'none', (tx) => {
      const ends = keyEndsAt(this.#keys(), { tags: wanted, wishMs: undefined }, nowMs)
      const keepsEnd = node.tags.length > 0 === wanted.length > 0
      return tx.updateNode(node.id, { tags: wanted, ...(!keepsEnd && { expiresAtMs: ends }) })
    })
  }

  async move(which: string, userName: string, actor = this.#options.actor): Promise<Node> {
    const node = this.#options.findNode(which)
    const user = this.#options.findUser(userName)
    if (node.tags.length > 0)
      throw new CoordError(
        'coord/conflict',
        `${node.name} has tags (${node.tags.join(', ')}) and is nobody's. Take them first: peerway coord nodes tag ${node.name} --none`,
      )
    const former = this.#options.registry.user(node.userId)?.name ?? String(node.userId)
    return this.#change(node, actor, 'node.move', `${former} → ${user.name}`, (tx) =>
      tx.updateNode(node.id, { userId: user.id }),
    )
  }

  /** When the node has to log in again; undefined for never, which also puts off an end that has come. */
  async expireAt(which: string, wishMs: number | undefined, actor = this.#options.actor): Promise<Node> {
    const node = this.#options.findNode(which)
    const nowMs = this.#options.clock.wallNow()
    if (wishMs !== undefined && (wishMs < nowMs - NOW_SLACK_MS || wishMs > nowMs + LONGEST_LIFETIME_MS))
      throw bad('The end of a key lies between now and ten years from now.')
    const atMs = wishMs === undefined ? undefined : Math.max(wishMs, nowMs)
    const detail = atMs === undefined ? 'never' : new Date(atMs).toISOString()
    return this.#change(node, actor, 'node.expire', detail, async (tx) => {
      const keys = this.#keys()
      await tx.setKept('node-keys', nodeKeysText({ ...keys, fixed: new Set([...keys.fixed, node.id]) }))
      return tx.updateNode(node.id, { expiresAtMs: atMs })
    })
  }

  /** Lets a machine go on that waits; for one that does not, nothing happens. */
  async approve(which: string, actor = this.#options.actor): Promise<Node> {
    const node = this.#options.findNode(which)
    if (!this.isWaiting(node.id)) return node
    return this.#change(node, actor, 'node.approve', 'approved', async (tx) => {
      await changeApproval(tx, ({ waiting }) => ({ waiting: new Set([...waiting].filter((id) => id !== node.id)) }))
      return node
    })
  }

  isWaiting(id: NodeId): boolean {
    return this.#options.registry.kept(deviceApproval).waiting.has(id)
  }

  get approvalMode(): ApprovalMode {
    return this.#options.registry.kept(deviceApproval).mode
  }

  /** For machines from now on; those that wait go on waiting. */
  async setApprovalMode(mode: string, actor = this.#options.actor): Promise<void> {
    const wanted = APPROVAL_MODES.find((one) => one === mode)
    if (!wanted) throw bad(`Device approval is one of ${APPROVAL_MODES.join(', ')}.`)
    await this.#options.registry.transaction(async (tx) => {
      await changeApproval(tx, () => ({ mode: wanted }))
      await tx.audit(actor, 'device-approval.set', 'device-approval', wanted)
    })
  }

  async keySettings(): Promise<NodeKeyInfo> {
    const { lifetimeMs, renew } = this.#keys()
    return { ...(lifetimeMs !== undefined && { lifetimeMs }), renew }
  }

  /** For keys made or renewed from now on. A lifetime of null is for ever; what is undefined stays. */
  async setKeySettings(
    wish: { readonly lifetimeMs?: number | null | undefined; readonly renew?: boolean | undefined },
    actor = this.#options.actor,
  ): Promise<NodeKeyInfo> {
    const { lifetimeMs, renew } = wish
    if (typeof lifetimeMs === 'number' && !(lifetimeMs >= SHORTEST_LIFETIME_MS && lifetimeMs <= LONGEST_LIFETIME_MS))
      throw bad('Node keys live between an hour and ten years, or for ever.')
    await this.#options.registry.transaction(async (tx) => {
      const now = this.#keys()
      const next: NodeKeySettings = {
        lifetimeMs: lifetimeMs === undefined ? now.lifetimeMs : (lifetimeMs ?? undefined),
        renew: renew ?? now.renew,
        fixed: now.fixed,
      }
      await tx.setKept('node-keys', nodeKeysText(next))
      await tx.audit(actor, 'node-keys.set', 'node-keys', nodeKeysText({ ...next, fixed: new Set() }))
    })
    return this.keySettings()
  }

  #keys(): NodeKeySettings {
    return this.#options.registry.kept(nodeKeys)
  }

  #change(
    node: Node,
    actor: string,
    action: string,
    detail: string,
    change: (tx: RegistryTransaction) => Promise<Node>,
  ): Promise<Node> {
    return this.#options.registry.transaction(async (tx) => {
      const changed = await change(tx)
      await tx.audit(actor, action, `node:${node.id}`, `${node.name}: ${detail}`)
      return changed
    })
  }
}

/** Throws CoordError 'coord/bad-argument'. */
export function checkedTags(tags: readonly string[]): string[] {
  const wrong = tags.find((tag) => !TAG.test(tag))
  if (wrong !== undefined) throw bad(`"${wrong}" is not a tag; tags look like tag:server.`)
  const wanted = [...new Set(tags)]
  if (wanted.length > MOST_TAGS) throw bad(`A node has at most ${MOST_TAGS} tags.`)
  return wanted
}

const bad = (text: string): CoordError => new CoordError('coord/bad-argument', text)
