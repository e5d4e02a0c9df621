// Providers of a tailnet as its administrators run them: brought in, left by a date, taken back until then, removed.

import { isCoded, messageOf } from '../../../base/errors.ts'
import type { Clock } from '../../../base/clock.ts'
import { CoordError } from '../../errors.ts'
import type { User, UserId } from '../../model.ts'
import type { Registry, RegistryTransaction } from '../../registry.ts'
import { providerGroupsIn } from '../../policy/provider-groups.ts'
import { readPolicy } from '../../policy/read-policy.ts'
import { createEnrolLink, PUBLIC_URL } from '../enrol-links.ts'
import type { ServerSecrets } from '../server-secrets.ts'
import { waysOfUser } from '../ways.ts'
import { redirectUriOf } from './oidc-sign-in.ts'
import { mayBePlain, ProviderClient } from './provider-client.ts'
import { DEFAULT_RULES, type ProviderRules } from './provider-rules.ts'
import { allProviders, isOver, type Provider, secretPurpose } from './providers.ts'

const MOST_PROVIDERS = 32
const MOST_RULES = 64
/** Between a decision and its date: nobody plans further, and a slip of the year is seen. */
const LONGEST_NOTICE_MS = 2 * 366 * 24 * 3_600_000
/** A link to enrol lives until the date, and not longer than this. */
const LONGEST_LINK_MS = 14 * 24 * 3_600_000

export interface OidcProviderInfo {
  readonly name: string
  readonly label: string
  readonly issuer: string
  readonly clientId: string
  readonly hasSecret: boolean
  readonly allowDomains: readonly string[]
  readonly allowGroups: readonly string[]
  readonly allowEveryone: boolean
  readonly groupsClaim: string
  readonly scopes: readonly string[]
  /** To be entered at the provider, to the letter; left out while the server never ran. */
  readonly redirectUri?: string | undefined
  readonly createdAt: string
  /** From then on nobody signs in by it. */
  readonly leavesAt?: string | undefined
  readonly isOver: boolean
  /** How many sign in by it, and how many of them have no other way. */
  readonly people: number
  readonly dependents: number
}

export interface OidcPersonInfo {
  readonly user: string
  readonly displayName: string
  /** Their account there, as they know it. */
  readonly account: string
  readonly groups: readonly string[]
  readonly lastSignInAt: string
  readonly passkeys: number
  readonly password: boolean
  /** Other providers that stay. */
  readonly otherProviders: readonly string[]
  /** When the provider ends, this person has no way to sign in. */
  readonly depends: boolean
  /** Which stay logged in whatever becomes of the provider. */
  readonly machines: number
}

export interface OidcStatusInfo {
  readonly provider: OidcProviderInfo
  readonly people: readonly OidcPersonInfo[]
}

export interface OidcLinkInfo {
  readonly user: string
  readonly url: string
  readonly expiresAt: string
}

export interface NewProviderWish {
  readonly name: string
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret?: string | undefined
  readonly label?: string | undefined
  readonly allowDomains?: readonly string[] | undefined
  readonly allowGroups?: readonly string[] | undefined
  readonly allowEveryone?: boolean | undefined
  readonly groupsClaim?: string | undefined
  readonly scopes?: readonly string[] | undefined
}

/** What is left out stays; people and their accounts stay anyway. */
export type ProviderChange = Omit<NewProviderWish, 'name' | 'issuer' | 'clientId'> & {
  readonly clientId?: string | undefined
}

export interface OidcAdminOptions {
  readonly registry: Registry
  readonly secrets: ServerSecrets
  readonly actor: string
  readonly clock: Clock
}

export class OidcAdmin {
  readonly #options: OidcAdminOptions

  constructor(options: OidcAdminOptions) {
    this.#options = options
  }

  list(): Promise<OidcProviderInfo[]> {
    return this.#transaction(async (tx) => {
      const infos: OidcProviderInfo[] = []
      for (const provider of await this.#own(tx)) infos.push(await this.#info(tx, provider))
      return infos
    })
  }

  /** Asks the provider for its addresses first, so that a slip of typing is seen now. */
  async add(wish: NewProviderWish, actor = this.#options.actor): Promise<OidcProviderInfo> {
    const { registry, secrets, clock } = this.#options
    const { name, issuer, rules, clientId } = checked(wish)
    await discoverable(issuer, clock)
    return this.#transaction(async (tx) => {
      const all = await allProviders(tx.store)
      const own = all.filter(({ tailnetId }) => tailnetId === registry.tailnet.id)
      if (all.some((one) => one.name.toLowerCase() === name))
        throw new CoordError('coord/conflict', `There is a provider ${name} on this server already.`)
      const same = own.find((one) => one.issuer === issuer)
      if (same) throw new CoordError('coord/conflict', `${same.name} is a provider with this issuer already.`)
      if (own.length >= MOST_PROVIDERS)
        throw new CoordError('coord/conflict', `A network has at most ${MOST_PROVIDERS} providers.`)
      await tx.store.identity.oidc.insertProvider({
        tailnetId: registry.tailnet.id,
        name,
        issuer,
        clientId,
        sealedSecret: wish.clientSecret === undefined ? undefined : sealedSecret(secrets, name, wish.clientSecret),
        rules: JSON.stringify(rules),
        createdAtMs: clock.wallNow(),
        leaveAtMs: undefined,
      })
      await tx.audit(actor, 'oidc.add', `oidc:${name}`, issuer)
      return this.#info(tx, await this.#find(tx, name))
    })
  }

  /** Another secret when the old one runs out, or other rules. The issuer stays: another one has other people. */
  async update(name: string, change: ProviderChange, actor = this.#options.actor): Promise<OidcProviderInfo> {
    return this.#transaction(async (tx) => {
      const { id, rules, clientId, issuer, ...now } = await this.#find(tx, name)
      const next = checked({
        name: now.name,
        issuer,
        clientId: change.clientId ?? clientId,
        clientSecret: change.clientSecret,
        label: change.label ?? rules.label,
        allowDomains: change.allowDomains ?? rules.domains,
        allowGroups: change.allowGroups ?? rules.groups,
        allowEveryone: change.allowEveryone ?? rules.everyone,
        groupsClaim: change.groupsClaim ?? rules.groupsClaim,
        scopes: change.scopes ?? rules.scopes,
      })
      const { clientSecret } = change
      await tx.store.identity.oidc.updateProvider(id, {
        clientId: next.clientId,
        rules: JSON.stringify(next.rules),
        ...(clientSecret !== undefined && {
          sealedSecret: sealedSecret(this.#options.secrets, now.name, clientSecret),
        }),
      })
      const what = Object.entries(change).flatMap(([what, value]) => (value === undefined ? [] : what))
      await tx.audit(actor, 'oidc.update', `oidc:${now.name}`, what.join(', '))
      return this.#info(tx, await this.#find(tx, name))
    })
  }

  status(name: string): Promise<OidcStatusInfo> {
    return this.#transaction(async (tx) => this.#status(tx, await this.#find(tx, name)))
  }

  /** From `atMs` on nobody signs in by it; until then it works, and whoever depends on it is told. */
  async leave(name: string, atMs: number, actor = this.#options.actor): Promise<OidcStatusInfo> {
    const nowMs = this.#options.clock.wallNow()
    if (!Number.isFinite(atMs) || atMs > nowMs + LONGEST_NOTICE_MS)
      throw bad('The date is at most two years away, as in 2030-06-30.')
    if (atMs < nowMs) throw bad('This date is over. To end sign-in by it at once, remove the provider.')
    return this.#transaction(async (tx) => {
      const provider = await this.#find(tx, name)
      if (isOver(provider, nowMs)) throw new CoordError('coord/conflict', `${provider.name} was left already.`)
      await tx.store.identity.oidc.updateProvider(provider.id, { leaveAtMs: atMs })
      tx.touchSignIn()
      await tx.audit(actor, 'oidc.leave', `oidc:${provider.name}`, timeText(atMs))
      return this.#status(tx, await this.#find(tx, name))
    })
  }

  /** Takes a planned leave back; after the date it brings the provider back, as long as it was not removed. */
  stay(name: string, actor = this.#options.actor): Promise<OidcStatusInfo> {
    return this.#transaction(async (tx) => {
      const provider = await this.#find(tx, name)
      if (provider.leaveAtMs === undefined)
        throw new CoordError('coord/conflict', `Nobody plans to leave ${provider.name}.`)
      await tx.store.identity.oidc.updateProvider(provider.id, { leaveAtMs: undefined })
      tx.touchSignIn()
      await tx.audit(actor, 'oidc.stay', `oidc:${provider.name}`)
      return this.#status(tx, await this.#find(tx, name))
    })
  }

  /**
   * One-time links, with which those who still depend on it set another way to sign in. Whoever has one signs in as that
   * person, so they are made only on the server's own machine.
   */
  remind(name: string, actor = this.#options.actor): Promise<OidcLinkInfo[]> {
    const nowMs = this.#options.clock.wallNow()
    return this.#transaction(async (tx) => {
      const provider = await this.#find(tx, name)
      if (provider.leaveAtMs === undefined)
        throw new CoordError(
          'coord/conflict',
          `Nobody leaves ${provider.name}. Set a date first: peerway coord oidc leave ${provider.name} --at DATE`,
        )
      const untilMs = provider.leaveAtMs > nowMs ? provider.leaveAtMs : nowMs + LONGEST_LINK_MS
      const lifeMs = Math.min(untilMs - nowMs, LONGEST_LINK_MS)
      const links: OidcLinkInfo[] = []
      for (const id of await this.#dependents(tx, provider)) {
        const user = this.#user(id)
        if (!user) continue
        const { url, expiresAtMs } = await createEnrolLink(tx, user, 'invite', { nowMs, actor, lifeMs })
        links.push({ user: user.name, url, expiresAt: timeText(expiresAtMs) })
      }
      await tx.audit(actor, 'oidc.remind', `oidc:${provider.name}`, `${links.length} links`)
      return links
    })
  }

  /** With all that people signed in with there. Nobody is locked out unless `evenIfNeeded`. */
  remove(name: string, evenIfNeeded: boolean, actor = this.#options.actor): Promise<void> {
    return this.#transaction(async (tx) => {
      const provider = await this.#find(tx, name)
      const people = await tx.store.identity.oidc.identitiesAt(provider.id)
      const dependents = [...(await this.#dependents(tx, provider))]
      const [first] = dependents
      if (first !== undefined && !evenIfNeeded && !isOver(provider, this.#options.clock.wallNow()))
        throw new CoordError(
          'coord/conflict',
          `${this.#user(first)?.name ?? ''}${dependents.length > 1 ? ` and ${dependents.length - 1} more` : ''} can sign in by nothing ` +
            `else. Leave it by a date instead: peerway coord oidc leave ${provider.name} --at DATE. To lock them out, add --force.`,
        )
      const named = this.#groupsInPolicy(provider.name)
      if (named !== undefined && !evenIfNeeded)
        throw new CoordError(
          'coord/conflict',
          `The policy names ${named}, in which nobody will be any more. Change the policy first, or add --force.`,
        )
      await tx.store.identity.oidc.deleteProvider(provider.id)
      for (const userId of new Set(people.map(({ userId }) => userId))) await tx.refreshGroups(userId)
      tx.touchSignIn()
      await tx.audit(actor, 'oidc.remove', `oidc:${provider.name}`, provider.issuer)
    })
  }

  /** The first of its groups that the policy in force names. */
  #groupsInPolicy(name: string): string | undefined {
    const text = this.#options.registry.policy?.text
    if (text === undefined) return undefined
    try {
      return providerGroupsIn(readPolicy(text)).find((group) => group.endsWith(`@${name}`))
    } catch {
      // One that cannot be read denies everything anyway.
      return undefined
    }
  }

  async #info(tx: RegistryTransaction, provider: Provider): Promise<OidcProviderInfo> {
    const publicUrl = await tx.store.setting(PUBLIC_URL)
    const { rules, leaveAtMs } = provider
    return {
      name: provider.name,
      label: provider.label,
      issuer: provider.issuer,
      clientId: provider.clientId,
      hasSecret: provider.sealedSecret !== undefined,
      allowDomains: rules.domains,
      allowGroups: rules.groups,
      allowEveryone: rules.everyone,
      groupsClaim: rules.groupsClaim,
      scopes: rules.scopes,
      ...(publicUrl !== undefined && { redirectUri: redirectUriOf(publicUrl, provider.name) }),
      createdAt: timeText(provider.createdAtMs),
      ...(leaveAtMs !== undefined && { leavesAt: timeText(leaveAtMs) }),
      isOver: isOver(provider, this.#options.clock.wallNow()),
      people: new Set((await tx.store.identity.oidc.identitiesAt(provider.id)).map(({ userId }) => userId)).size,
      dependents: (await this.#dependents(tx, provider)).size,
    }
  }

  async #status(tx: RegistryTransaction, provider: Provider): Promise<OidcStatusInfo> {
    const { registry } = this.#options
    const dependents = await this.#dependents(tx, provider)
    const names = new Map((await allProviders(tx.store)).map(({ id, name }) => [id, name]))
    const people: OidcPersonInfo[] = []
    for (const one of await tx.store.identity.oidc.identitiesAt(provider.id)) {
      const user = registry.user(one.userId)
      if (!user) continue
      const ways = await waysOfUser(tx.store.identity, user.id)
      people.push({
        user: user.name,
        displayName: user.displayName,
        account: one.shown,
        groups: one.groups,
        lastSignInAt: timeText(one.lastUsedAtMs),
        passkeys: ways.filter(({ kind }) => kind === 'passkey').length,
        password: ways.some(({ kind }) => kind === 'password'),
        otherProviders: ways.flatMap((way) =>
          way.kind === 'oidc' && way.providerId !== provider.id && !way.isLeft ? (names.get(way.providerId) ?? []) : [],
        ),
        depends: dependents.has(user.id),
        machines: [...registry.nodes()].filter(({ userId }) => userId === user.id).length,
      })
    }
    people.sort((a, b) => Number(b.depends) - Number(a.depends) || a.user.localeCompare(b.user))
    return { provider: await this.#info(tx, provider), people }
  }

  async #dependents(tx: RegistryTransaction, { id }: Provider): Promise<Set<UserId>> {
    const publicUrl = await tx.store.setting(PUBLIC_URL)
    const hosts = ['localhost', ...(publicUrl === undefined ? [] : [new URL(publicUrl).hostname])]
    return new Set(await tx.store.identity.oidc.dependents(id, hosts))
  }

  #user(id: UserId): User | undefined {
    return this.#options.registry.user(id)
  }

  async #own(tx: RegistryTransaction): Promise<Provider[]> {
    return (await allProviders(tx.store)).filter(({ tailnetId }) => tailnetId === this.#options.registry.tailnet.id)
  }

  async #find(tx: RegistryTransaction, name: string): Promise<Provider> {
    const found = (await this.#own(tx)).find((one) => one.name === name.toLowerCase())
    if (!found) throw new CoordError('coord/not-found', `There is no provider ${name}; see: peerway coord oidc list.`)
    return found
  }

  #transaction<T>(work: (tx: RegistryTransaction) => Promise<T>): Promise<T> {
    return this.#options.registry.transaction(work)
  }
}

const sealedSecret = (secrets: ServerSecrets, name: string, secret: string): Uint8Array =>
  secrets.seal(secretPurpose(name), new TextEncoder().encode(secret))

function checked(wish: NewProviderWish): {
  readonly name: string
  readonly issuer: string
  readonly clientId: string
  readonly rules: ProviderRules
} {
  const name = wish.name.toLowerCase()
  if (!/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/.test(name))
    throw bad('A provider is named with 1 to 32 letters, digits and dashes, like "corp".')
  if (!URL.canParse(wish.issuer)) throw bad('The issuer is an address, as in https://id.example.org.')
  const { protocol, username, search, hash } = new URL(wish.issuer)
  if ((protocol !== 'https:' && !mayBePlain(wish.issuer)) || username + search + hash !== '')
    throw bad(
      'The issuer begins with https:// and has no query. Only a provider on this very machine may do without TLS.',
    )
  if (!/^[\x21-\x7e]{1,512}$/.test(wish.clientId)) throw bad('The client id is what the provider calls this server.')
  const { clientSecret } = wish
  if (clientSecret !== undefined && !/^[\x20-\x7e]{1,1024}$/.test(clientSecret))
    throw bad('The client secret is one line of at most 1024 characters.')
  const domains = texts(wish.allowDomains, 'domain').map((domain) => domain.replace(/^@/, '').toLowerCase())
  for (const domain of domains)
    if (!/^[a-z0-9-]+(\.[a-z0-9-]+)+$/.test(domain))
      throw bad(`"${domain}" is no domain of addresses, like example.org.`)
  const label = wish.label ?? ''
  if (label.length > 40 || /[\p{Cc}\p{Cf}]/u.test(label)) throw bad('A label has at most 40 printable characters.')
  const groupsClaim = wish.groupsClaim ?? DEFAULT_RULES.groupsClaim
  if (!/^[\x21-\x7e]{1,128}$/.test(groupsClaim)) throw bad('The claim that lists groups is a word, like "groups".')
  const scopes = texts(wish.scopes, 'scope')
  for (const scope of scopes) if (!/^[\x21\x23-\x5b\x5d-\x7e]+$/.test(scope)) throw bad(`"${scope}" is no scope.`)
  const rules: ProviderRules = {
    label,
    domains,
    groups: texts(wish.allowGroups, 'group'),
    everyone: wish.allowEveryone === true,
    scopes: wish.scopes ? scopes : DEFAULT_RULES.scopes,
    groupsClaim,
  }
  if (rules.everyone && rules.domains.length + rules.groups.length > 0)
    throw bad('Either everybody whom the provider knows, or some of them by domain or group: not both.')
  return { name, issuer: wish.issuer, clientId: wish.clientId, rules }
}

function texts(list: readonly string[] | undefined, what: string): readonly string[] {
  if (list && (list.length > MOST_RULES || list.some((one) => one === '' || one.length > 253)))
    throw bad(`At most ${MOST_RULES} of a kind can be named, and each ${what} has a name.`)
  return list ?? []
}

async function discoverable(issuer: string, clock: Clock): Promise<void> {
  try {
    await new ProviderClient(clock).discover(issuer)
  } catch (error) {
    if (isCoded(error, 'coord/bad-argument')) throw error
    throw new CoordError(
      'coord/bad-argument',
      `${issuer} does not answer as a provider (${reasonOf(error)}). The issuer is written exactly as the provider writes it; a slash at the end counts.`,
      { cause: error },
    )
  }
}

/** What the network says is below "fetch failed". */
const reasonOf = (error: unknown): string =>
  messageOf(error instanceof TypeError && error.cause !== undefined ? error.cause : error)

const bad = (message: string): CoordError => new CoordError('coord/bad-argument', message)

const timeText = (ms: number): string => new Date(ms).toISOString().replace('.000Z', 'Z')
