// Accounts and the ways into them. Each change is one transaction: an account comes to be with what it signs in with, a
// one-time link is spent with what it was for.

import { randomBytes } from 'node:crypto'
import type {
  AuthenticationResponseJSON,
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
  RegistrationResponseJSON,
} from '@simplewebauthn/server'
import { isCoded } from '../../base/errors.ts'
import { checkedUserName } from '../admin/admin.ts'
import { RateLimiter } from '../http/rate-limiter.ts'
import type { LoginContext } from '../login/login-provider.ts'
import type { User, UserId } from '../model.ts'
import type { RegistryTransaction } from '../registry.ts'
import type { EnrolToken, IdentityTables, SignInMethod } from '../store/identity-store.ts'
import type { CeremonyPlace } from './ceremonies.ts'
import { noteCopied } from './copied-passkeys.ts'
import { codeHash, readCode } from './codes.ts'
import { openEnrolLink } from './enrol-links.ts'
import { IdentityError } from './identity-error.ts'
import {
  checkAssertion,
  checkCreation,
  creationOptions,
  requestOptions,
  type CreatedPasskey,
  type Site,
} from './passkeys.ts'
import { PasswordCheck, type Typed } from './password-check.ts'
import { passwordProblem, type PasswordProblem } from './password-rule.ts'
import { isSetupCode, spendSetupCode } from './setup-code.ts'
import type { Sessions } from './sessions.ts'
import { ceremoniesOf } from './shared-ceremonies.ts'

/** Rows of refused tries in the audit log: enough to see an attack, too few to fill the disk. */
const REFUSAL_ROWS = { perSecond: 0.1, burst: 20 }

/** Who asks: a browser by its cookie, and where it is as rate limits count it. */
export interface Visitor {
  readonly id: string
  readonly source: string
  /** As a person knows it: "Firefox on Linux". */
  readonly browser: string
}

export interface SignedIn {
  readonly user: User
  /** Of the new session. */
  readonly token: string
}

export interface NewPasskey {
  readonly ceremony: string
  readonly response: RegistrationResponseJSON
  readonly name: string
}

/** What the first account takes besides a way to sign in. */
export interface FirstWish {
  readonly name: string
  readonly setupCode: string
}

type About =
  | { readonly kind: 'sign-in'; readonly site: Site }
  | { readonly kind: 'first'; readonly site: Site; readonly wish: FirstWish; /** Base64url. */ readonly handle: string }
  | { readonly kind: 'enrol'; readonly site: Site; readonly userId: UserId }

export class Accounts {
  readonly #context: LoginContext
  readonly #sessions: Sessions
  readonly passwordCheck: PasswordCheck
  readonly #ceremonies: CeremonyPlace<About>
  readonly #refusalRows: RateLimiter

  constructor(context: LoginContext, sessions: Sessions) {
    this.#context = context
    this.#sessions = sessions
    this.passwordCheck = new PasswordCheck(context.registry, context.clock, context.secrets)
    this.#ceremonies = ceremoniesOf(context, 'accounts')
    this.#refusalRows = new RateLimiter(context.clock, REFUSAL_ROWS)
  }

  get isEmpty(): boolean {
    return this.#context.users().length === 0
  }

  hasCredentials(): Promise<boolean> {
    return this.#context.registry.read(({ identity }) => identity.hasCredentials())
  }

  // Signing in

  async signInWithPassword(visitor: Visitor, name: string, typed: Typed): Promise<SignedIn> {
    const proof = await this.passwordCheck.check(visitor, name, typed, (user, detail) =>
      this.noteRefusal(visitor, user, detail),
    )
    return this.#context.registry.transaction(async (tx) => {
      await proof.settle(tx.store.identity)
      return this.beginSession(tx, proof.user, 'password', visitor)
    })
  }

  /** Takes the place of everything else, once for each code. */
  async signInWithRecoveryCode(visitor: Visitor, name: string, typed: string): Promise<SignedIn> {
    const { registry, clock } = this.#context
    const code = readCode(typed)
    const user = this.#context.users().find((user) => user.name.toLowerCase() === name.toLowerCase())
    const signedIn = await registry.transaction(async (tx) => {
      const { identity } = tx.store
      if (!(await identity.spendRecoveryCode(user?.id ?? 0, codeHash(code ?? ''), clock.wallNow())) || !user)
        return undefined
      await this.passwordCheck.guesses.clear(identity, user.id)
      return this.beginSession(tx, user, 'recovery-code', visitor)
    })
    if (signedIn) return signedIn
    await this.noteRefusal(visitor, user, 'recovery code')
    throw new IdentityError('login/wrong-code', 'The name or the recovery code is not right, or the code was used.')
  }

  async beginSignIn(
    visitor: Visitor,
    site: Site,
  ): Promise<{ ceremony: string; options: PublicKeyCredentialRequestOptionsJSON }> {
    const { id, challenge } = await this.#ceremonies.begin(visitor.id, visitor.source, { kind: 'sign-in', site })
    return { ceremony: id, options: await requestOptions({ ...site, challenge }) }
  }

  async signInWithPasskey(visitor: Visitor, ceremony: string, response: AuthenticationResponseJSON): Promise<SignedIn> {
    const { about, challenge } = await endCeremony(this.#ceremonies, visitor, ceremony, 'sign-in')
    const { registry, clock } = this.#context
    const known = await registry.read(async ({ identity }) => {
      const passkey = await identity.passkey(response.id)
      return passkey && { passkey, handle: await identity.handleOf(passkey.userId) }
    })
    const user = known && registry.user(known.passkey.userId)
    if (!known || !user)
      throw new IdentityError(
        'login/passkey-unknown',
        'This server does not know that passkey. It may have been made for another network, or removed here.',
      )
    const { passkey, handle } = known
    try {
      const counter = await checkAssertion(response, { ...about.site, challenge }, passkey, handle)
      return await registry.transaction(async (tx) => {
        const use = { from: passkey.counter, to: counter }
        if (!(await tx.store.identity.notePasskeyUse(passkey.id, use, clock.wallNow())))
          throw new IdentityError('login/passkey-refused', 'The passkey was used twice at once. Try again.')
        await this.passwordCheck.guesses.clear(tx.store.identity, user.id)
        return this.beginSession(tx, user, 'passkey', visitor)
      })
    } catch (error) {
      const isCopied = isCoded(error, 'login/passkey-copied')
      if (isCopied) await registry.transaction((tx) => noteCopied(tx.store, passkey.id, clock.wallNow()))
      await this.noteRefusal(visitor, user, isCopied ? 'passkey, its counter went back' : 'passkey')
      throw error
    }
  }

  // The first account

  async createFirstWithPassword(
    visitor: Visitor,
    login: string | undefined,
    wish: FirstWish,
    password: string,
  ): Promise<SignedIn> {
    await this.#mayCreateFirst(visitor, login, wish)
    this.checkRule(password, [wish.name])
    const phc = await this.passwordCheck.passwords.hash(password)
    return this.#createFirst(visitor, login, wish, 'password', (tx, user) =>
      tx.store.identity.setPassword(user.id, phc, this.#context.clock.wallNow()),
    )
  }

  async beginFirst(
    visitor: Visitor,
    site: Site,
    login: string | undefined,
    wish: FirstWish,
  ): Promise<{ ceremony: string; options: PublicKeyCredentialCreationOptionsJSON }> {
    await this.#mayCreateFirst(visitor, login, wish)
    const handle = newHandle()
    const about: About = { kind: 'first', site, wish, handle: Buffer.from(handle).toString('base64url') }
    const { id, challenge } = await this.#ceremonies.begin(visitor.id, visitor.source, about)
    const user = { handle, name: wish.name, displayName: wish.name }
    return { ceremony: id, options: await this.creationOptions(site, challenge, user, []) }
  }

  async createFirstWithPasskey(visitor: Visitor, login: string | undefined, made: NewPasskey): Promise<SignedIn> {
    const { about, challenge } = await endCeremony(this.#ceremonies, visitor, made.ceremony, 'first')
    const passkey = await checkCreation(made.response, { ...about.site, challenge })
    return this.#createFirst(visitor, login, about.wish, 'passkey', async (tx, user) => {
      await tx.store.identity.insertHandle(user.id, new Uint8Array(Buffer.from(about.handle, 'base64url')))
      await this.addPasskey(tx, user.id, passkey, made.name)
    })
  }

  async #mayCreateFirst(visitor: Visitor, login: string | undefined, wish: FirstWish): Promise<void> {
    if (!this.isEmpty) throw hasOwner()
    if (login !== undefined && !this.#context.pendingLogin(login)) throw loginOver()
    const { registry, secrets } = this.#context
    if (!(await registry.read((store) => isSetupCode(store, secrets, wish.setupCode)))) {
      await this.noteRefusal(visitor, undefined, 'setup code')
      throw wrongSetupCode()
    }
    refusingName(() => checkedUserName(wish.name))
  }

  #createFirst(
    visitor: Visitor,
    login: string | undefined,
    wish: FirstWish,
    method: SignInMethod,
    equip: (tx: RegistryTransaction, user: User) => Promise<void>,
  ): Promise<SignedIn> {
    return this.#context.registry.transaction(async (tx) => {
      if ((await tx.store.users()).length > 0) throw hasOwner()
      if (login !== undefined && !this.#context.pendingLogin(login)) throw loginOver()
      if (!(await spendSetupCode(tx.store, this.#context.secrets, wish.setupCode))) throw wrongSetupCode()
      const user = await this.#context.insertUser(tx, { name: wish.name })
      await equip(tx, user)
      return this.beginSession(tx, user, method, visitor)
    })
  }

  // One-time links

  /** Whose link it is, and what for; undefined when it is good for nothing. */
  async enrolLink(token: string): Promise<{ readonly link: EnrolToken; readonly user: User } | undefined> {
    const { registry, clock } = this.#context
    const open = await registry.read((store) => openEnrolLink(store, token, clock.wallNow()))
    const user = open && registry.user(open.link.userId)
    return open && user && { link: open.link, user }
  }

  async enrolPassword(token: string, password: string): Promise<User> {
    const { user } = await this.#openLink(token)
    this.checkRule(password, [user.name, user.displayName, user.email ?? ''])
    const phc = await this.passwordCheck.passwords.hash(password)
    return this.#spendLink(token, 'password', (tx) =>
      tx.store.identity.setPassword(user.id, phc, this.#context.clock.wallNow()),
    )
  }

  async beginEnrol(
    visitor: Visitor,
    site: Site,
    token: string,
  ): Promise<{ ceremony: string; options: PublicKeyCredentialCreationOptionsJSON }> {
    const { user, link } = await this.#openLink(token)
    const { handle, has } = await this.#context.registry.read(async ({ identity }) => {
      const handle = await handleFor(identity, user.id)
      return { handle, has: await identity.passkeysOf(user.id) }
    })
    const about: About = { kind: 'enrol', site, userId: user.id }
    const { id, challenge } = await this.#ceremonies.begin(visitor.id, visitor.source, about)
    const who = { handle, name: user.name, displayName: user.displayName }
    // A reset removes the others, so the same device may make a new one.
    return {
      ceremony: id,
      options: await this.creationOptions(site, challenge, who, link.purpose === 'reset' ? [] : has),
    }
  }

  async enrolPasskey(visitor: Visitor, token: string, made: NewPasskey): Promise<User> {
    const { about, challenge } = await endCeremony(this.#ceremonies, visitor, made.ceremony, 'enrol')
    const passkey = await checkCreation(made.response, { ...about.site, challenge })
    return this.#spendLink(token, 'passkey', async (tx, user) => {
      if (user.id !== about.userId) throw tooLate()
      await this.addPasskey(tx, user.id, passkey, made.name)
    })
  }

  /** `link` throws when the account elsewhere cannot be this person's; the link is good then still. */
  enrolElsewhere(token: string, link: (tx: RegistryTransaction, user: User) => Promise<void>): Promise<User> {
    return this.#spendLink(token, 'oidc', link)
  }

  async #openLink(token: string): Promise<{ readonly link: EnrolToken; readonly user: User }> {
    const open = await this.enrolLink(token)
    if (!open) throw linkOver()
    return open
  }

  #spendLink(
    token: string,
    method: SignInMethod,
    equip: (tx: RegistryTransaction, user: User) => Promise<void>,
  ): Promise<User> {
    const { registry, clock } = this.#context
    return registry.transaction(async (tx) => {
      const nowMs = clock.wallNow()
      const open = await openEnrolLink(tx.store, token, nowMs)
      const user = open && registry.user(open.link.userId)
      if (!open || !user || !(await tx.store.identity.spendEnrolToken(open.hash, nowMs))) throw linkOver()
      if (open.link.purpose === 'reset') {
        await tx.store.identity.deleteCredentials(user.id)
        for (const { id, userId } of await tx.store.identity.recoveries())
          if (userId === user.id) await tx.store.identity.endRecovery(id, nowMs)
        // Accounts elsewhere went too.
        await tx.refreshGroups(user.id)
      }
      await this.passwordCheck.guesses.clear(tx.store.identity, user.id)
      // A new way in ends what began by an old one.
      await tx.store.identity.deleteSessionsOf(user.id)
      await equip(tx, user)
      tx.touchSignIn()
      await tx.audit(`user:${user.id}`, 'enrol-link.use', `user:${user.id}`, `${open.link.purpose}, ${method}`)
      return user
    })
  }

  // Shared by the above

  creationOptions(
    site: Site,
    challenge: string,
    user: { handle: Uint8Array; name: string; displayName: string },
    has: readonly { readonly id: string; readonly transports: readonly string[] }[],
  ): Promise<PublicKeyCredentialCreationOptionsJSON> {
    return creationOptions({ ...site, challenge, networkName: new URL(this.#context.publicUrl).hostname, user, has })
  }

  async addPasskey(tx: RegistryTransaction, userId: UserId, passkey: CreatedPasskey, name: string): Promise<void> {
    if (await tx.store.identity.passkey(passkey.id))
      throw new IdentityError('login/passkey-refused', 'This passkey is in use already. Make another one.')
    const createdAtMs = this.#context.clock.wallNow()
    await tx.store.identity.insertPasskey({ ...passkey, userId, name, createdAtMs, lastUsedAtMs: undefined })
    await tx.audit(`user:${userId}`, 'passkey.create', `user:${userId}`, name)
  }

  async beginSession(tx: RegistryTransaction, user: User, method: SignInMethod, visitor: Visitor): Promise<SignedIn> {
    const { source, browser } = visitor
    const token = await this.#sessions.begin(tx.store, user, { method, source, browser })
    await tx.audit(`user:${user.id}`, 'sign-in', `user:${user.id}`, `${method}, from ${visitor.source}`)
    return { user, token }
  }

  /** Never with what was typed: people type passwords into the wrong field. */
  async noteRefusal(visitor: Visitor, user: User | undefined, detail: string): Promise<void> {
    if (!this.#refusalRows.take('all')) return
    const subject = user ? `user:${user.id}` : 'user:unknown'
    await this.#context.registry.transaction((tx) =>
      tx.audit(`source:${visitor.source}`, 'sign-in.refused', subject, detail),
    )
  }

  /** Throws IdentityError for a password that is refused. */
  checkRule(password: string, names: readonly string[]): void {
    const problem = passwordProblem(password, [...names, new URL(this.#context.publicUrl).hostname])
    if (problem) throw new IdentityError('login/weak-password', PROBLEM_WORDS[problem])
  }
}

const PROBLEM_WORDS: Readonly<Record<PasswordProblem, string>> = {
  'too-short': 'This password is short enough to be guessed. Use at least 15 characters: three or four words will do.',
  'too-long': 'This password is too long. Use at most 1024 characters.',
  'too-common': 'This password is among the first that get tried. Use words that do not belong together.',
}

/** Made with the first passkey, and the same from then on. */
export async function handleFor(identity: IdentityTables, userId: UserId): Promise<Uint8Array> {
  const known = await identity.handleOf(userId)
  if (known) return known
  const handle = newHandle()
  await identity.insertHandle(userId, handle)
  return handle
}

/** Random, as WebAuthn asks (§14.6.1): it tells nothing about the person. */
const newHandle = (): Uint8Array => new Uint8Array(randomBytes(32))

export const loginOver = (): IdentityError =>
  new IdentityError('login/over', 'The machine does not wait any more. Start again on it.')

export const linkOver = (): IdentityError =>
  new IdentityError('login/link-over', 'This link was used or is too old. Ask for another one.')

const hasOwner = (): IdentityError =>
  new IdentityError('login/has-owner', 'Somebody made the first account a moment ago. Load this page again to sign in.')

const wrongSetupCode = (): IdentityError =>
  new IdentityError(
    'login/wrong-setup-code',
    'This is not the setup code. The server printed it as it started; “peerway coord users setup-code” prints it again.',
  )

/** What was begun in the visitor's browser, if it is of that kind; it is over from now on. Throws tooLate. */
export async function endCeremony<A extends { readonly kind: string }, K extends A['kind']>(
  ceremonies: CeremonyPlace<A>,
  visitor: Visitor,
  ceremony: string,
  kind: K,
): Promise<{ readonly about: Extract<A, { readonly kind: K }>; readonly challenge: string }> {
  const found = await ceremonies.end(ceremony, visitor.id)
  if (found?.about.kind !== kind) throw tooLate()
  return { about: found.about as Extract<A, { readonly kind: K }>, challenge: found.challenge }
}

export const tooLate = (): IdentityError =>
  new IdentityError('login/passkey-too-late', 'This took too long or was begun elsewhere. Try again.')

function refusingName(check: () => unknown): void {
  try {
    check()
  } catch (error) {
    throw isCoded(error) ? new IdentityError('login/name-refused', error.message, { cause: error }) : error
  }
}
