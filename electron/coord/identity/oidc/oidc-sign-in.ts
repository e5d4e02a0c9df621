// Signing in by an account elsewhere. The browser leaves for the provider and comes back with a code; what ties the two ends
// together stays on the server, bound to the browser that left, and is good for one return. A person is who the provider's
// subject was linked to, never who has the same address.

import { generateRandomCodeVerifier, generateRandomNonce } from 'oauth4webapi'
import { messageOf } from '../../../base/errors.ts'
import type { LoginContext } from '../../login/login-provider.ts'
import type { User } from '../../model.ts'
import type { RegistryTransaction } from '../../registry.ts'
import type { OidcIdentity } from '../../store/oidc-store.ts'
import { type Accounts, linkOver, type SignedIn, tooLate, type Visitor } from '../accounts.ts'
import type { CeremonyPlace } from '../ceremonies.ts'
import { IdentityError } from '../identity-error.ts'
import { type CurrentSession, FRESH_MS, mustBeFresh, notSignedIn } from '../sessions.ts'
import { ceremoniesOf } from '../shared-ceremonies.ts'
import type { ReachedSite } from '../site.ts'
import { type PersonClaims, readClaims, shownAs } from './claims.ts'
import { nameForNewcomer } from './new-person.ts'
import { type Attempt, ProviderClient } from './provider-client.ts'
import { admission, type Admission } from './provider-rules.ts'
import { accessTo, allProviders, isOver, type Provider, providerById } from './providers.ts'

/** Signing in elsewhere may take a password, a second factor and a search for the telephone. */
const ATTEMPT_MS = 15 * 60_000
const MOST_OF_ONE_USER = 16

export type Purpose = 'sign-in' | 'prove' | 'link' | 'enrol'
/** Where the browser was, and goes back to: the page of a machine that waits, of a one-time link, or the account. */
export type ReturnPlace = { readonly login: string } | { readonly enrol: string } | { readonly account: true }

interface About extends Omit<Attempt, 'state'> {
  readonly purpose: Purpose
  readonly providerId: number
  /** Whose account it is about; undefined while somebody signs in. */
  readonly userId: number | undefined
  readonly place: ReturnPlace
}

export type Finished =
  | { readonly kind: 'signed-in'; readonly place: ReturnPlace; readonly signedIn: SignedIn }
  | { readonly kind: 'linked'; readonly place: ReturnPlace }
  | { readonly kind: 'enrolled'; readonly place: ReturnPlace; readonly user: User }
  /** In words for the person; `place` is where they can try again. */
  | { readonly kind: 'refused'; readonly place: ReturnPlace; readonly error: IdentityError }

export class OidcSignIn {
  readonly #context: LoginContext
  readonly #accounts: Accounts
  readonly #client: ProviderClient
  readonly #attempts: CeremonyPlace<About>

  constructor(context: LoginContext, accounts: Accounts) {
    this.#context = context
    this.#accounts = accounts
    this.#client = new ProviderClient(context.clock)
    this.#attempts = ceremoniesOf(context, 'elsewhere', ATTEMPT_MS)
  }

  /** All that people sign in by, those that are over left out. */
  async list(): Promise<Provider[]> {
    const nowMs = this.#context.clock.wallNow()
    return (await this.#context.registry.read(allProviders)).filter((provider) => !isOver(provider, nowMs))
  }

  /** The address at the provider to which the browser goes. */
  async begin(
    visitor: Visitor,
    site: ReachedSite,
    name: string,
    wish: { readonly purpose: Purpose; readonly place: ReturnPlace; readonly me?: CurrentSession | undefined },
  ): Promise<string> {
    const { publicUrl, registry, secrets, clock, log } = this.#context
    // The browser comes back to the server's own address, where cookies of another count nothing.
    if (site.origin !== new URL(publicUrl).origin)
      throw new IdentityError(
        'login/wrong-host',
        `Open ${publicUrl} for this: accounts elsewhere lead back only there.`,
      )
    const provider = (await registry.read(allProviders)).find((one) => one.name.toLowerCase() === name.toLowerCase())
    if (!provider)
      throw new IdentityError('login/gone', 'There is no such account to sign in with. Load the page again.')
    if (isOver(provider, clock.wallNow())) throw over(provider)
    const whose = wish.me?.user ?? (await this.#invited(wish.place))
    if (whose && whose.homeId !== provider.tailnetId)
      throw new IdentityError('login/not-allowed', `${provider.label} is for people of another network of this server.`)
    const access = accessTo(provider, secrets)
    if (!access) {
      log.error('the client secret of a provider was sealed by another server', { provider: provider.name })
      throw failed(provider)
    }
    const about: About = {
      purpose: wish.purpose,
      providerId: provider.id,
      userId: wish.me?.user.id,
      place: wish.place,
      nonce: generateRandomNonce(),
      verifier: generateRandomCodeVerifier(),
      redirectUri: redirectUriOf(publicUrl, provider.name),
    }
    const { id: state } = await this.#attempts.begin(visitor.id, visitor.source, about)
    const scopes = provider.rules.scopes
    const isProof = wish.purpose === 'prove'
    try {
      return await this.#client.authorizationUrl(access, { ...about, state }, { scopes, isProof })
    } catch (error) {
      log.warn('a provider cannot be used', { provider: provider.name, reason: messageOf(error) })
      throw failed(provider, error)
    }
  }

  /** `query` is what the provider sent the browser back with. Throws tooLate when nothing is known of it. */
  async finish(
    visitor: Visitor,
    name: string,
    query: string,
    session: () => Promise<CurrentSession | undefined>,
  ): Promise<Finished> {
    const came = new URLSearchParams(query)
    const state = came.get('state') ?? ''
    const about = (await this.#attempts.end(state, visitor.id))?.about
    if (!about) throw tooLate()
    const { place } = about
    try {
      const provider = await this.#context.registry.read((store) => providerById(store, about.providerId))
      if (!provider || provider.name.toLowerCase() !== name.toLowerCase()) throw tooLate()
      const claims = await this.#claims(visitor, provider, { ...about, state }, came)
      if (about.purpose === 'sign-in')
        return { kind: 'signed-in', place, signedIn: await this.#signIn(visitor, provider, claims) }
      if (about.purpose === 'enrol')
        return { kind: 'enrolled', place, user: await this.#enrol(visitor, place, provider, claims) }
      const me = await session()
      if (!me || me.user.id !== about.userId) throw notSignedIn()
      if (about.purpose === 'prove')
        return { kind: 'signed-in', place, signedIn: await this.#prove(visitor, me, provider, claims) }
      await this.#link(visitor, me, provider, claims)
      return { kind: 'linked', place }
    } catch (error) {
      if (error instanceof IdentityError) return { kind: 'refused', place, error }
      throw error
    }
  }

  async #claims(visitor: Visitor, provider: Provider, attempt: Attempt, came: URLSearchParams): Promise<PersonClaims> {
    const { secrets, log } = this.#context
    const access = accessTo(provider, secrets)
    if (!access) throw failed(provider)
    let outcome: Awaited<ReturnType<ProviderClient['finish']>>
    try {
      outcome = await this.#client.finish(access, attempt, came)
    } catch (error) {
      log.warn('a provider’s answer was refused', { provider: provider.name, reason: messageOf(error) })
      await this.#accounts.noteRefusal(visitor, undefined, `${provider.name}: its answer`)
      throw failed(provider, error)
    }
    if (outcome.kind === 'refused') throw refusedBy(provider, outcome.error)
    const claims = readClaims(outcome.raw, provider.rules.groupsClaim)
    if (!claims) throw failed(provider, 'no usable subject')
    return claims
  }

  async #signIn(visitor: Visitor, provider: Provider, claims: PersonClaims): Promise<SignedIn> {
    const verdict = await this.#context.registry.transaction(async (tx) => {
      const now = await this.#mustBeOpen(tx, provider)
      const allowed = admission(now.rules, claims)
      const identity = await tx.store.identity.oidc.identity(now.id, claims.subject)
      const known = identity && this.#context.registry.user(identity.userId)
      if (known) {
        // Without rules, those who linked their account come in; rules that there are hold for them too.
        if (allowed !== 'yes' && allowed !== 'known-only') return { allowed, known }
        await this.#noteUse(tx, identity, claims)
        return { signedIn: await this.#accounts.beginSession(tx, known, 'oidc', visitor) }
      }
      if (allowed !== 'yes') return { allowed, known }
      const user = await this.#insertNewcomer(tx, now, claims)
      return { signedIn: await this.#accounts.beginSession(tx, user, 'oidc', visitor) }
    })
    if (verdict.signedIn) return verdict.signedIn
    await this.#accounts.noteRefusal(visitor, verdict.known, `${provider.name}: ${verdict.allowed}`)
    throw notAdmitted(provider, verdict.allowed)
  }

  async #insertNewcomer(tx: RegistryTransaction, provider: Provider, claims: PersonClaims): Promise<User> {
    const { registry } = this.#context
    const here = await tx.inTailnet(provider.tailnetId).store.users()
    // Whoever comes first to an empty network would own it; that takes the setup code.
    if (here.length === 0)
      throw new IdentityError('login/provider-stranger', 'Nobody owns this network yet. Make the first account here.')
    const taken = new Set(
      [...registry.users()].flatMap(({ name, email }) => [name.toLowerCase(), email?.toLowerCase() ?? '']),
    )
    const name = nameForNewcomer(claims, provider.name, (wanted) => taken.has(wanted.toLowerCase()))
    if (name === undefined)
      throw new IdentityError(
        'login/provider-stranger',
        `There is an account for ${shownAs(claims)} here that is not linked to ${provider.label}. Sign in to it another ` +
          'way, then link it on the page of your account.',
      )
    const address = claims.emailVerified ? claims.email : undefined
    const email = address !== undefined && !taken.has(address.toLowerCase()) ? address : undefined
    const user = await this.#context.insertUser(
      tx,
      { name, displayName: claims.displayName ?? name, email },
      provider.tailnetId,
    )
    await this.#insertIdentity(tx, user, provider, claims, 'oidc.join')
    return user
  }

  async #prove(visitor: Visitor, me: CurrentSession, provider: Provider, claims: PersonClaims): Promise<SignedIn> {
    // Not every provider says when; one that does must have asked just now.
    if (claims.authAgeMs !== undefined && claims.authAgeMs > FRESH_MS)
      throw new IdentityError(
        'login/provider-refused',
        `${provider.label} did not ask again who you are. Sign out there, then try again.`,
      )
    return this.#context.registry.transaction(async (tx) => {
      await this.#mustBeOpen(tx, provider)
      const identity = await tx.store.identity.oidc.identity(provider.id, claims.subject)
      if (!identity || identity.userId !== me.user.id)
        throw new IdentityError(
          'login/provider-stranger',
          `The account ${shownAs(claims)} at ${provider.label} is not linked to ${me.user.name}. Use the one that is.`,
        )
      await this.#noteUse(tx, identity, claims)
      return this.#accounts.beginSession(tx, me.user, 'oidc', visitor)
    })
  }

  /** Whose one-time link it is. */
  async #invited(place: ReturnPlace): Promise<User | undefined> {
    if (!('enrol' in place)) return undefined
    const open = await this.#accounts.enrolLink(place.enrol)
    if (!open) throw linkOver()
    return open.user
  }

  async #enrol(visitor: Visitor, place: ReturnPlace, provider: Provider, claims: PersonClaims): Promise<User> {
    const invited = await this.#invited(place)
    if (!('enrol' in place)) throw linkOver()
    await this.#mustBeAllowed(visitor, invited, provider, claims)
    return this.#accounts.enrolElsewhere(place.enrol, async (tx, user) => {
      if (user.homeId !== (await this.#mustBeOpen(tx, provider)).tailnetId) throw linkOver()
      await this.#linkTo(tx, user, provider, claims)
    })
  }

  async #mustBeAllowed(
    visitor: Visitor,
    user: User | undefined,
    provider: Provider,
    claims: PersonClaims,
  ): Promise<void> {
    const allowed = admission(provider.rules, claims)
    if (allowed === 'yes' || allowed === 'known-only') return
    await this.#accounts.noteRefusal(visitor, user, `${provider.name}: ${allowed}`)
    throw notAdmitted(provider, allowed)
  }

  async #link(visitor: Visitor, me: CurrentSession, provider: Provider, claims: PersonClaims): Promise<void> {
    mustBeFresh(me, this.#context.clock.wallNow(), ATTEMPT_MS)
    await this.#mustBeAllowed(visitor, me.user, provider, claims)
    await this.#context.registry.transaction(async (tx) => {
      await this.#mustBeOpen(tx, provider)
      const { identity } = tx.store
      if (!(await identity.sessionsOf(me.user.id)).some(({ id }) => id === me.session.id)) throw notSignedIn()
      await this.#linkTo(tx, me.user, provider, claims)
    })
  }

  async #linkTo(tx: RegistryTransaction, user: User, provider: Provider, claims: PersonClaims): Promise<void> {
    const { oidc } = tx.store.identity
    const known = await oidc.identity(provider.id, claims.subject)
    if (known?.userId === user.id) return this.#noteUse(tx, known, claims)
    if (known)
      throw new IdentityError(
        'login/conflict',
        `The account ${shownAs(claims)} at ${provider.label} belongs to somebody else here already.`,
      )
    if ((await oidc.identitiesOf(user.id)).length >= MOST_OF_ONE_USER)
      throw new IdentityError('login/conflict', `There are ${MOST_OF_ONE_USER} accounts elsewhere. Remove one first.`)
    await this.#insertIdentity(tx, user, provider, claims, 'oidc.link')
  }

  async #insertIdentity(
    tx: RegistryTransaction,
    user: User,
    provider: Provider,
    claims: PersonClaims,
    action: 'oidc.join' | 'oidc.link',
  ): Promise<void> {
    const nowMs = this.#context.clock.wallNow()
    const { subject, groups } = claims
    await tx.store.identity.oidc.insertIdentity({
      providerId: provider.id,
      subject,
      userId: user.id,
      shown: shownAs(claims),
      groups,
      createdAtMs: nowMs,
      lastUsedAtMs: nowMs,
    })
    await tx.refreshGroups(user.id)
    tx.touchSignIn()
    await tx.audit(`user:${user.id}`, action, `user:${user.id}`, `${provider.name}: ${shownAs(claims)}`)
  }

  async #noteUse(tx: RegistryTransaction, identity: OidcIdentity, claims: PersonClaims): Promise<void> {
    const { providerId, subject } = identity
    const use = { shown: shownAs(claims), groups: claims.groups, lastUsedAtMs: this.#context.clock.wallNow() }
    await tx.store.identity.oidc.noteIdentityUse({ providerId, subject, ...use })
    await tx.refreshGroups(identity.userId)
  }

  /** As it is now: it may have been left or removed while the person was there. */
  async #mustBeOpen(tx: RegistryTransaction, { id, label }: Provider): Promise<Provider> {
    const now = await providerById(tx.store, id)
    if (!now || isOver(now, this.#context.clock.wallNow())) throw over(now ?? { label })
    return now
  }
}

export const redirectUriOf = (publicUrl: string, name: string): string => `${publicUrl}/login/oidc/${name}/callback`

const over = ({ label }: Pick<Provider, 'label'>): IdentityError =>
  new IdentityError(
    'login/provider-ended',
    `This network does not use ${label} any more. Sign in another way; without one, ask the owner of this network for a ` +
      'link. Your machines stay connected meanwhile.',
  )

const failed = ({ label }: Pick<Provider, 'label'>, cause?: unknown): IdentityError =>
  new IdentityError(
    'login/provider-failed',
    `${label} did not answer as it should. Try again in a moment, or sign in another way.`,
    { cause },
  )

function refusedBy({ label }: Provider, error: string): IdentityError {
  const text =
    error === 'access_denied'
      ? `${label} says that it was cancelled, or that you may not use it for this network. Try again, or sign in another way.`
      : error === 'temporarily_unavailable' || error === 'server_error'
        ? `${label} has trouble of its own. Try again in a moment, or sign in another way.`
        : `${label} refused to sign you in. Try again; if it stays so, the owner of this network has to look at its settings there.`
  return new IdentityError('login/provider-refused', text, { cause: error })
}

const NOT_ADMITTED: Readonly<Record<Exclude<Admission, 'yes'>, string>> = {
  'known-only':
    'no account here is linked to yours. If you have one, sign in to it another way and link it; if not, ask the owner of this network for an invitation.',
  'unproven-address':
    'this network wants to know your e-mail address, and that it is yours. Confirm it there, then try again.',
  'other-domain': 'this network is for addresses of other domains. Use another account, or ask its owner.',
  'not-in-group': 'you are in none of the groups that this network is for. Ask its owner.',
}

const notAdmitted = ({ label }: Provider, why: Admission): IdentityError =>
  new IdentityError(
    'login/provider-stranger',
    `${label} knows you, but ${NOT_ADMITTED[why === 'yes' ? 'known-only' : why]}`,
  )
