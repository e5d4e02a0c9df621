// Carries the network of another server over: people, machines with names, addresses and tags, approved routes, the policy.
// Machines keep working on the old server until each joins here; it is known again by its machine key.

import { toHex } from '../../base/bytes.ts'
import { randomBytes } from 'node:crypto'
import type { Clock } from '../../base/clock.ts'
import { messageOf } from '../../base/errors.ts'
import { type KeptSetting, recordOf } from '../kept-settings.ts'
import { NO_HOST_FACTS, NO_REPORT, type NodeId } from '../model.ts'
import type { PolicyAdmin } from '../policy/policy-admin.ts'
import type { Registry } from '../registry.ts'
import type { ForeignNetwork } from './foreign-network.ts'
import { readHeadscaleDatabase } from './headscale-database.ts'
import { type ImportPlan, planImport } from './import-plan.ts'

/** Printed by --json, so the names are public interface. */
export interface ImportInfo {
  /** False for a look at what would be. */
  readonly applied: boolean
  readonly users: readonly string[]
  readonly nodes: readonly {
    readonly name: string
    readonly user: string
    readonly address: string
    readonly tags: readonly string[]
  }[]
  readonly policy: 'none' | 'carried' | 'kept' | 'refused'
  readonly remarks: readonly string[]
}

export interface MoveInfo {
  readonly node: string
  readonly user: string
  readonly address: string
  /** Whether the machine has joined here since. */
  readonly moved: boolean
}

/** Node number to the key that it had on the other server. */
export const importedNodes: KeptSetting<ReadonlyMap<NodeId, string>> = {
  name: 'imported-nodes',
  parse: (text) =>
    new Map(
      Object.entries(recordOf(text)).flatMap(([id, key]) =>
        /^\d+$/.test(id) && typeof key === 'string' ? [[Number(id), key] as const] : [],
      ),
    ),
}

export interface ImportAdminOptions {
  readonly registry: Registry
  readonly policy: PolicyAdmin
  readonly clock: Clock
  readonly actor: string
}

export class ImportAdmin {
  readonly #options: ImportAdminOptions

  constructor(options: ImportAdminOptions) {
    this.#options = options
  }

  /** Without `apply` nothing is changed. */
  async fromHeadscale(file: string, apply: boolean): Promise<ImportInfo> {
    return this.#run(readHeadscaleDatabase(file), apply)
  }

  /** Who of the imported machines has joined here, and who has not. */
  async moves(): Promise<MoveInfo[]> {
    const { registry } = this.#options
    return [...registry.kept(importedNodes)].flatMap(([id, key]) => {
      const node = registry.node(id)
      if (!node) return []
      const user = registry.user(node.userId)?.name ?? ''
      return [
        {
          node: node.name,
          user,
          address: node.addressV4,
          moved: node.nodeKey.text !== key || node.report.capVersion > 0,
        },
      ]
    })
  }

  async #run(network: ForeignNetwork, apply: boolean): Promise<ImportInfo> {
    const { registry } = this.#options
    const nodes = [...registry.nodes()]
    const plan = planImport(network, {
      users: new Set([...registry.users()].map(({ name }) => name.toLowerCase())),
      machines: new Set(nodes.map(({ machineKey }) => machineKey.text)),
      names: new Set(nodes.map(({ name }) => name)),
      addresses: new Set(nodes.flatMap(({ addressV4, addressV6 }) => [addressV4, addressV6])),
    })
    if (apply) await this.#apply(plan)
    const remarks = [...plan.remarks]
    const policy = await this.#policy(plan.policy, apply, remarks)
    return {
      applied: apply,
      users: plan.users.map(({ name }) => name),
      nodes: plan.nodes.map(({ name, user, address, tags }) => ({ name, user, address: address.v4, tags })),
      policy,
      remarks,
    }
  }

  /** All of it or nothing. */
  async #apply(plan: ImportPlan): Promise<void> {
    const { registry, clock, actor } = this.#options
    await registry.transaction(async (tx) => {
      const nowMs = clock.wallNow()
      const isFirst = (await tx.store.users()).length === 0
      const ids = new Map((await tx.store.users()).map(({ name, id }) => [name.toLowerCase(), id]))
      for (const [index, { from, name }] of plan.users.entries()) {
        // Somebody has to own an empty network; who else runs it is for them to say.
        const role = isFirst && index === 0 ? 'owner' : 'member'
        const displayName =
          from.displayName
            .replaceAll(/[\p{Cc}\p{Cf}\p{Cs}]/gu, '')
            .slice(0, 128)
            .trim() || name
        const made = await tx.insertUser({ name, displayName, email: from.email, role, createdAtMs: nowMs })
        ids.set(name.toLowerCase(), made.id)
        await tx.audit(actor, 'user.import', `user:${made.id}`, name)
      }
      const imported = new Map(importedNodes.parse(await tx.store.tailnetSetting(importedNodes.name)))
      for (const { from, user, name, address, tags } of plan.nodes) {
        const userId = ids.get(user.toLowerCase())
        if (userId === undefined) continue
        const node = await tx.insertNode(
          {
            stableId: `n${toHex(randomBytes(8))}`,
            userId,
            machineKey: from.machineKey,
            nodeKey: from.nodeKey,
            name,
            // A name that somebody gave it stays, whatever its host is called.
            nameIsFixed: from.name !== '' && from.name !== from.hostname,
            addressV4: address.v4,
            addressV6: address.v6,
            tags,
            expiresAtMs: from.expiresAtMs,
            createdAtMs: nowMs,
            ephemeral: false,
            authKeyId: undefined,
          },
          { ...NO_REPORT, hostinfo: { ...NO_HOST_FACTS, hostname: from.hostname } },
        )
        if (from.routes.length > 0) await tx.decideRoutes(node.id, from.routes, 'approved')
        imported.set(node.id, from.nodeKey.text)
        await tx.audit(actor, 'node.import', `node:${node.id}`, name)
      }
      await tx.setKept(importedNodes.name, JSON.stringify(Object.fromEntries(imported)))
    })
  }

  /** A policy that was set here stays; one that cannot be used here is named, and nothing is opened by it. */
  async #policy(text: string | undefined, apply: boolean, remarks: string[]): Promise<ImportInfo['policy']> {
    const { registry, policy, actor } = this.#options
    if (text === undefined) return 'none'
    if (registry.policy !== undefined) {
      remarks.push('The policy that is in force here stays; compare it with the old one.')
      return 'kept'
    }
    try {
      if (apply) await policy.set(text, actor)
      else await policy.diff(text)
      return 'carried'
    } catch (error) {
      remarks.push(`Policy: ${messageOf(error)}`)
      return 'refused'
    }
  }
}
