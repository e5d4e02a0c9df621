// What concerns the whole server, and the way to the administration of each tailnet. Only for who has the server's own
// machine, or its admin socket: nobody in a tailnet may know of the others.

import { isAbsolute } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import type { MachinePrivate } from '../../crypto/keys.ts'
import { backUp, type BackupInfo } from '../backup/backup.ts'
import { CoordError } from '../errors.ts'
import type { AdviceDesks } from '../advice/advice-desks.ts'
import type { ServerSecrets } from '../identity/server-secrets.ts'
import type { PendingLogins } from '../login/pending-logins.ts'
import { ROLES, type Role, type TailnetId } from '../model.ts'
import { baseDomainProblem, isLabel, sanitiseLabel } from '../names.ts'
import type { Registrar } from '../registrar.ts'
import type { Registry } from '../registry.ts'
import { SERVES_NOTHING } from '../routes/route-table.ts'
import type { ServerRegistry } from '../server-registry.ts'
import { FIRST_TAILNET, type PortableStore } from '../store/store.ts'
import type { TailnetHubs } from '../tailnet-hubs.ts'
import { Admin } from './admin.ts'
import type { TailnetInfo, UserInfo } from './admin-types.ts'

/** Each holds a little memory and a timer, whether anybody uses it or not. */
const MOST_TAILNETS = 1_000
/** Who acts over the admin socket, in the audit log. */
const COMMAND_LINE = 'cli'

export interface ServerAdminOptions {
  readonly store: PortableStore
  readonly serverKey: MachinePrivate
  readonly registry: ServerRegistry
  readonly registrar: Registrar
  readonly logins: PendingLogins
  readonly secrets: ServerSecrets
  /** Left out while no server runs: then nobody is online. */
  readonly hubs?: TailnetHubs
  /** Left out while no server runs: then nobody reports. */
  readonly advice?: AdviceDesks
  readonly clock: Clock
}

export class ServerAdmin {
  readonly #options: ServerAdminOptions
  readonly #admins = new Map<TailnetId, { readonly registry: Registry; readonly admin: Admin }>()

  constructor(options: ServerAdminOptions) {
    this.#options = options
  }

  /** Of the tailnet of that name; without one, of the first. */
  of(name?: string): Admin {
    const registry = name === undefined ? this.#options.registry.first : this.#tailnet(name)
    const { id } = registry.tailnet
    const known = this.#admins.get(id)
    if (known?.registry === registry) return known.admin
    const admin = this.as(registry, COMMAND_LINE)
    this.#admins.set(id, { registry, admin })
    return admin
  }

  /** The same for one caller, who is named in the audit log. */
  as(registry: Registry, actor: string): Admin {
    const { id } = registry.tailnet
    const { registrar, logins, secrets, hubs, advice, clock } = this.#options
    return new Admin({
      registry,
      actor,
      registrar,
      logins,
      secrets,
      isOnline: (node) => hubs?.of(id)?.isOnline(node) ?? false,
      embeddedDerpMap: () => hubs?.derpMap ?? { regions: new Map() },
      servedBy: (node) => hubs?.of(id)?.servedBy(node) ?? SERVES_NOTHING,
      advice: () => advice?.of(id),
      clock,
    })
  }

  /** Of the whole server, into a file on its machine. A passphrase seals the server's key into it. */
  backUp(wish: { file: string; passphrase?: string | undefined }): Promise<BackupInfo> {
    const { store, serverKey, clock } = this.#options
    if (!isAbsolute(wish.file)) throw new CoordError('coord/bad-argument', 'The path of a backup begins at the root.')
    return backUp(store, serverKey, { ...wish, nowMs: clock.wallNow() })
  }

  async listTailnets(): Promise<TailnetInfo[]> {
    return [...this.#options.registry.tailnets()].map(info)
  }

  /** With names of its own, which hang under `domain`, and nobody in it yet. */
  async createTailnet(wish: { name: string; domain?: string | undefined }, actor = COMMAND_LINE): Promise<TailnetInfo> {
    const { registry, clock } = this.#options
    const name = checkedName(wish.name)
    const domain = checkedDomain(wish.domain ?? `${name}.peerway.internal`)
    const { id } = await registry.transaction(async (tx) => {
      this.#mustBeFree(name, domain)
      if ([...registry.tailnets()].length >= MOST_TAILNETS)
        throw new CoordError('coord/conflict', `A server has at most ${MOST_TAILNETS} tailnets.`)
      const tailnet = await tx.insertTailnet({ name, domain, createdAtMs: clock.wallNow() })
      await tx.inTailnet(tailnet.id).audit(actor, 'tailnet.create', `tailnet:${tailnet.id}`, name)
      return tailnet
    })
    return info(this.#byId(id))
  }

  async renameTailnet(which: string, to: string, actor = COMMAND_LINE): Promise<TailnetInfo> {
    const { id, name: former } = this.#tailnet(which).tailnet
    const name = checkedName(to)
    await this.#options.registry.transaction(async (tx) => {
      if (name !== former) this.#mustBeFree(name)
      await tx.updateTailnet(id, { name })
      await tx.inTailnet(id).audit(actor, 'tailnet.rename', `tailnet:${id}`, `${former} → ${name}`)
    })
    return info(this.#byId(id))
  }

  /** Its policy and its keys go too. Only when nobody is in it any more. */
  async deleteTailnet(which: string, actor = COMMAND_LINE): Promise<void> {
    const registry = this.#tailnet(which)
    const { id, name } = registry.tailnet
    if (id === FIRST_TAILNET)
      throw new CoordError('coord/conflict', `${name} is the first tailnet of this server, which stays.`)
    const [user] = registry.users()
    if (user)
      throw new CoordError(
        'coord/conflict',
        `${user.name} and perhaps others are in the tailnet ${name}; delete them first: peerway coord users delete ${user.name} --tailnet ${name}`,
      )
    await this.#options.registry.transaction(async (tx) => {
      await tx.deleteTailnet(id)
      await tx.audit(actor, 'tailnet.delete', `tailnet:${id}`, name)
    })
  }

  /** A person of another tailnet becomes a member of this one too, with the same ways to sign in. */
  async addMember(
    wish: { tailnet: string; user: string; role?: Role | undefined },
    actor = COMMAND_LINE,
  ): Promise<UserInfo> {
    const registry = this.#tailnet(wish.tailnet)
    const role = wish.role ?? 'member'
    if (!ROLES.includes(role)) throw new CoordError('coord/bad-argument', `A role is one of ${ROLES.join(', ')}.`)
    const person = [...this.#options.registry.users()].find(({ name }) => sameName(name, wish.user))
    if (!person) throw new CoordError('coord/not-found', `There is no user ${wish.user} on this server.`)
    await registry.transaction(async (tx) => {
      if (registry.user(person.id))
        throw new CoordError('coord/conflict', `${person.name} is in the tailnet ${registry.tailnet.name} already.`)
      await tx.insertMember(person.id, role)
      await tx.audit(actor, 'tailnet.add-member', `user:${person.id}`, `${person.name} (${role})`)
    })
    const found = (await this.of(wish.tailnet).listUsers()).find(({ id }) => id === person.id)
    if (!found) throw new CoordError('coord/not-found', `There is no user ${wish.user} on this server.`)
    return found
  }

  #mustBeFree(name: string, domain?: string): void {
    for (const { tailnet } of this.#options.registry.tailnets()) {
      if (sameName(tailnet.name, name))
        throw new CoordError('coord/conflict', `There is a tailnet ${tailnet.name} already.`)
      if (tailnet.domain === domain)
        throw new CoordError('coord/conflict', `The names of the tailnet ${tailnet.name} hang under ${domain} already.`)
    }
  }

  #tailnet(name: string): Registry {
    for (const registry of this.#options.registry.tailnets()) if (sameName(registry.tailnet.name, name)) return registry
    throw new CoordError('coord/not-found', `There is no tailnet ${name}; see: peerway coord tailnets list.`)
  }

  #byId(id: TailnetId): Registry {
    const registry = this.#options.registry.tailnet(id)
    if (!registry) throw new CoordError('coord/not-found', `There is no tailnet ${id}.`)
    return registry
  }
}

const info = (registry: Registry): TailnetInfo => ({
  id: registry.tailnet.id,
  name: registry.tailnet.name,
  domain: registry.tailnet.domain,
  users: [...registry.users()].length,
  nodes: registry.nodeCount,
  createdAt: new Date(registry.tailnet.createdAtMs).toISOString(),
})

const sameName = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase()

function checkedName(name: string): string {
  if (isLabel(name)) return name
  const near = sanitiseLabel(name)
  throw new CoordError(
    'coord/bad-argument',
    `A tailnet is named with letters, digits and dashes in lower case${near === '' ? '' : `, like "${near}"`}.`,
  )
}

function checkedDomain(domain: string): string {
  const problem = baseDomainProblem(domain)
  if (problem === undefined) return domain
  throw new CoordError('coord/bad-argument', `Names cannot hang under "${domain}": ${problem}.`)
}
