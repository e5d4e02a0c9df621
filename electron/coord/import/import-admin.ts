// Carries the network of another server over: people, machines with names, addresses and tags, approved routes, the policy.
// Machines keep working on the old server until each joins here; it is known again by its machine key.

import { toHex } from '../../base/bytes.ts'
import { randomBytes } from 'node:crypto'
import type { Clock } from '../../base/clock.ts'
import { messageOf } from '../../base/errors.ts'
import { NO_HOST_FACTS, NO_REPORT, type Node } from '../model.ts'
import type { PolicyAdmin } from '../policy/policy-admin.ts'
import { PolicyError, problemText } from '../policy/problem.ts'
import { CoordError } from '../errors.ts'
import type { Registry } from '../registry.ts'
import type { ForeignNetwork } from './foreign-network.ts'
import { type HeadscaleServer, readHeadscaleServer } from './headscale-api.ts'
import { readHeadscaleDatabase } from './headscale-database.ts'
import { type ImportPlan, planImport } from './import-plan.ts'
import { hasMoved, importedNodes, rejoinKeys } from './imported.ts'
import { readTailscaleFiles, type TailscaleFiles } from './tailscale-files.ts'

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
    readonly routes: readonly string[]
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

/** How one machine joins here as itself. */
export interface RejoinInfo {
  readonly node: string
  readonly user: string
  readonly address: string
  readonly hostname: string
  /** For this machine only, once. */
  readonly key: string
  readonly expiresAt: string
}

export interface ImportAdminOptions {
  readonly registry: Registry
  readonly policy: PolicyAdmin
  readonly clock: Clock
  readonly actor: string
  readonly createAuthKey: (wish: { user: string; tags: readonly string[]; lifeMs: number }) => Promise<NewKey>
  readonly revokeAuthKey: (id: string) => Promise<void>
}

interface NewKey {
  readonly id: string
  readonly key: string
  readonly expiresAt?: string | undefined
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

  async fromHeadscaleServer(server: HeadscaleServer, apply: boolean): Promise<ImportInfo> {
    return this.#run(await readHeadscaleServer(server), apply)
  }

  async fromTailscale(files: TailscaleFiles, apply: boolean): Promise<ImportInfo> {
    if (files.policy === undefined && files.devices === undefined && files.users === undefined)
      throw new CoordError('coord/bad-argument', 'Name a policy, a list of devices or one of users.')
    return this.#run(readTailscaleFiles(files), apply)
  }

  /** New keys for these machines, or for all that have not come yet. Those they had before end. */
  async rejoin(which: readonly string[], lifeMs: number): Promise<RejoinInfo[]> {
    const { registry, createAuthKey, revokeAuthKey } = this.#options
    const waiting = [...registry.kept(importedNodes)].flatMap(([id, key]) => {
      const node = registry.node(id)
      return node && !hasMoved(node, key) ? [node] : []
    })
    const wanted = which.length === 0 ? waiting : which.map((name) => waitingNamed(waiting, name))
    const made: RejoinInfo[] = []
    for (const node of wanted) {
      const user = registry.user(node.userId)?.name ?? ''
      const { id, key, expiresAt = '' } = await createAuthKey({ user, tags: node.tags, lifeMs })
      const former = [...registry.kept(rejoinKeys)].flatMap(([key, of]) => (of === node.id ? [key] : []))
      await registry.transaction(async (tx) => {
        const known = new Map(rejoinKeys.parse(await tx.store.tailnetSetting(rejoinKeys.name)))
        for (const key of former) known.delete(key)
        await tx.setKept(rejoinKeys.name, JSON.stringify(Object.fromEntries(known.set(id, node.id))))
      })
      for (const key of former) await revokeAuthKey(key)
      const { hostname } = node.report.hostinfo
      made.push({ node: node.name, user, address: node.addressV4, hostname, key, expiresAt })
    }
    return made
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
          moved: hasMoved(node, key),
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
      nodes: plan.nodes.map(({ from, name, user, address, tags }) => ({
        name,
        user,
        address: address.v4,
        tags,
        routes: from.routes,
      })),
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
      const hasOwner = plan.users.some(({ from }) => from.role === 'owner')
      for (const [index, { from, name }] of plan.users.entries()) {
        // Somebody has to own an empty network; who else runs it is for them to say.
        const role = from.role ?? (isFirst && !hasOwner && index === 0 ? 'owner' : 'member')
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
      if (error instanceof PolicyError) remarks.push(...error.problems.map((one) => `Policy, ${problemText(one)}`))
      else remarks.push(`Policy: ${messageOf(error)}`)
      return 'refused'
    }
  }
}

function waitingNamed(waiting: readonly Node[], name: string): Node {
  const found = waiting.find((node) => node.name === name.toLowerCase() || node.addressV4 === name)
  if (found) return found
  throw new CoordError('coord/not-found', `No machine "${name}" is waited for; peerway coord import status lists them.`)
}
