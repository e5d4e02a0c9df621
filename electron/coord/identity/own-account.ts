// What a person changes about their own account: the ways to sign in, and where they are signed in. What could take an
// account over asks for a sign-in of the last minutes; what ends a way in also ends the sessions elsewhere.

import type {
  AuthenticationResponseJSON,
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
} from '@simplewebauthn/server'
import { isCoded } from '../../base/errors.ts'
import type { LoginContext } from '../login/login-provider.ts'
import type { User } from '../model.ts'
import type { RegistryTransaction } from '../registry.ts'
import type { IdentityTables, Passkey } from '../store/identity-store.ts'
import type { OidcIdentity } from '../store/oidc-store.ts'
import {
  endCeremony,
  handleFor,
  tooLate,
  type Accounts,
  type NewPasskey,
  type SignedIn,
  type Visitor,
} from './accounts.ts'
import type { CeremonyPlace } from './ceremonies.ts'
import { copiedPasskeys, forgetCopied, noteCopied } from './copied-passkeys.ts'
import { codeHash, newCode, shownCode } from './codes.ts'
import { IdentityError } from './identity-error.ts'
import { type Provider, providerOf } from './oidc/providers.ts'
import { checkAssertion, checkCreation, creationOptions, requestOptions, type Site } from './passkeys.ts'
import { totpPurpose, wrongCode, type Typed } from './password-check.ts'
import { type CurrentSession, mustBeFresh, notSignedIn } from './sessions.ts'
import { ceremoniesOf } from './shared-ceremonies.ts'
import { newTotpSecret, totpStep } from './totp.ts'
import { isUsable, mayRemove, waysOfUser, type Way } from './ways.ts'

const RECOVERY_CODES = 10
const MOST_PASSKEYS = 32
/** Between the picture and the first code of the app. */
const TOTP_ENROL_MS = 10 * 60_000

type About =
  | { readonly kind: 'add'; readonly site: Site; readonly userId: number }
  | { readonly kind: 'prove'; readonly site: Site; readonly userId: number }

export interface OwnMethods {
  readonly passkeys: readonly (Passkey & {
    readonly mayRemove: boolean
    readonly isUsable: boolean
    /** When its count of uses went back, last. */
    readonly copiedAtMs: number | undefined
  })[]
  readonly password: { readonly changedAtMs: number; readonly mayRemove: boolean } | undefined
  readonly totpSinceMs: number | undefined
  readonly recoveryCodes: { readonly left: number; readonly createdAtMs: number } | undefined
  readonly elsewhere: readonly (OidcIdentity & { readonly provider: Provider; readonly mayRemove: boolean })[]
}

export class OwnAccount {
  readonly #context: LoginContext
  readonly #accounts: Accounts
  readonly #ceremonies: CeremonyPlace<About>
  /** By which host names passkeys of this server are asked for. */
  readonly #hosts: ReadonlySet<string>

  constructor(context: LoginContext, accounts: Accounts) {
    this.#context = context
    this.#accounts = accounts
    this.#ceremonies = ceremoniesOf(context, 'own-account')
    this.#hosts = new Set([new URL(context.publicUrl).hostname, 'localhost'])
  }

  methods(user: User): Promise<OwnMethods> {
    return this.#context.registry.read(async (store) => {
      const { identity } = store
      const passkeys = await identity.passkeysOf(user.id)
      const copied = await copiedPasskeys(store)
      const changedAtMs = await identity.passwordChangedAt(user.id)
      const ways = await waysOfUser(identity, user.id)
      const providers = new Map((await identity.oidc.providers()).map((row) => [row.id, providerOf(row)]))
      const removable = (which: Way): boolean => mayRemove(ways, which, this.#hosts)
      return {
        passkeys: passkeys.map((passkey) => ({
          ...passkey,
          isUsable: this.#hosts.has(passkey.rpId),
          copiedAtMs: copied.get(passkey.id),
          mayRemove: removable({ kind: 'passkey', id: passkey.id, rpId: passkey.rpId }),
        })),
        password: changedAtMs === undefined ? undefined : { changedAtMs, mayRemove: removable({ kind: 'password' }) },
        totpSinceMs: (await identity.totp(user.id))?.createdAtMs,
        recoveryCodes: await identity.recoveryCodes(user.id),
        elsewhere: (await identity.oidc.identitiesOf(user.id)).flatMap((one) => {
          const provider = providers.get(one.providerId)
          const { providerId, subject } = one
          const isLeft = provider?.leaveAtMs !== undefined
          const mayRemove = removable({ kind: 'oidc', providerId, subject, isLeft })
          return provider ? [{ ...one, provider, mayRemove }] : []
        }),
      }
    })
  }

  /** Names the server had before, of which some still have passkeys. */
  async formerHosts(): Promise<readonly string[]> {
    const hosts = await this.#context.registry.read(({ identity }) => identity.passkeyHosts())
    return hosts.filter((host) => !this.#hosts.has(host))
  }

  // Showing once more who one is

  /** Throws IdentityError 'login/prove-again' when the session is not of the last minutes. */
  mustBeFresh(me: CurrentSession): void {
    mustBeFresh(me, this.#context.clock.wallNow())
  }

  async proveByPassword(me: CurrentSession, visitor: Visitor, typed: Typed): Promise<SignedIn> {
    const { passwordCheck } = this.#accounts
    const proof = await passwordCheck.check(visitor, me.user.name, typed, (user, detail) =>
      this.#accounts.noteRefusal(visitor, user, detail),
    )
    // The name may have gone to somebody else meanwhile.
    if (proof.user.id !== me.user.id) throw notSignedIn()
    return this.#context.registry.transaction(async (tx) => {
      await proof.settle(tx.store.identity)
      return this.#accounts.beginSession(tx, me.user, 'password', visitor)
    })
  }

  async beginProof(
    me: CurrentSession,
    visitor: Visitor,
    site: Site,
  ): Promise<{ ceremony: string; options: PublicKeyCredentialRequestOptionsJSON }> {
    const about: About = { kind: 'prove', site, userId: me.user.id }
    const { id, challenge } = await this.#ceremonies.begin(visitor.id, visitor.source, about)
    return { ceremony: id, options: await requestOptions({ ...site, challenge }) }
  }

  async proveByPasskey(
    me: CurrentSession,
    visitor: Visitor,
    ceremony: string,
    response: AuthenticationResponseJSON,
  ): Promise<SignedIn> {
    const { about, challenge } = await endCeremony(this.#ceremonies, visitor, ceremony, 'prove')
    const { registry, clock } = this.#context
    const { passkey, handle } = await registry.read(async ({ identity }) => ({
      passkey: await identity.passkey(response.id),
      handle: await identity.handleOf(me.user.id),
    }))
    if (!passkey || passkey.userId !== me.user.id || about.userId !== me.user.id)
      throw new IdentityError('login/passkey-unknown', `That passkey is not one of ${me.user.name}.`)
    const counter = await checkAssertion(response, { ...about.site, challenge }, passkey, handle).catch(
      async (error: unknown) => {
        const isCopied = isCoded(error, 'login/passkey-copied')
        if (isCopied) await registry.transaction((tx) => noteCopied(tx.store, passkey.id, clock.wallNow()))
        await this.#accounts.noteRefusal(visitor, me.user, isCopied ? 'passkey, its counter went back' : 'passkey')
        throw error
      },
    )
    return registry.transaction(async (tx) => {
      const use = { from: passkey.counter, to: counter }
      if (!(await tx.store.identity.notePasskeyUse(passkey.id, use, clock.wallNow())))
        throw new IdentityError('login/passkey-refused', 'The passkey was used twice at once. Try again.')
      return this.#accounts.beginSession(tx, me.user, 'passkey', visitor)
    })
  }

  // Passkeys

  async beginPasskey(
    me: CurrentSession,
    visitor: Visitor,
    site: Site,
  ): Promise<{ ceremony: string; options: PublicKeyCredentialCreationOptionsJSON }> {
    this.mustBeFresh(me)
    const { user } = me
    const { handle, has } = await this.#context.registry.read(async ({ identity }) => ({
      handle: await handleFor(identity, user.id),
      has: await identity.passkeysOf(user.id),
    }))
    if (has.length >= MOST_PASSKEYS)
      throw new IdentityError('login/conflict', `There are ${MOST_PASSKEYS} passkeys. Remove one first.`)
    const { id, challenge } = await this.#ceremonies.begin(visitor.id, visitor.source, {
      kind: 'add',
      site,
      userId: user.id,
    })
    const who = { handle, name: user.name, displayName: user.displayName }
    const networkName = new URL(this.#context.publicUrl).hostname
    const here = has.filter(({ rpId }) => rpId === site.rpId)
    return { ceremony: id, options: await creationOptions({ ...site, challenge, networkName, user: who, has: here }) }
  }

  async addPasskey(me: CurrentSession, visitor: Visitor, made: NewPasskey): Promise<void> {
    this.mustBeFresh(me)
    const { about, challenge } = await endCeremony(this.#ceremonies, visitor, made.ceremony, 'add')
    if (about.userId !== me.user.id) throw tooLate()
    const passkey = await checkCreation(made.response, { ...about.site, challenge })
    await this.#changeWays(me, (tx) => this.#accounts.addPasskey(tx, me.user.id, passkey, made.name))
  }

  renamePasskey(me: CurrentSession, id: string, name: string): Promise<void> {
    return this.#change(me, async (tx) => {
      if (!(await tx.store.identity.renamePasskey(me.user.id, id, name))) throw gone()
      await this.#audit(tx, me, 'passkey.rename', name)
    })
  }

  removePasskey(me: CurrentSession, id: string): Promise<void> {
    this.mustBeFresh(me)
    return this.#changeWays(me, async (tx) => {
      const { identity } = tx.store
      const passkey = (await identity.passkeysOf(me.user.id)).find((passkey) => passkey.id === id)
      if (!passkey) throw gone()
      await this.#mustStayUsable(identity, me, { kind: 'passkey', id, rpId: passkey.rpId })
      await identity.deletePasskey(me.user.id, id)
      await forgetCopied(tx.store, id)
      await identity.deleteSessionsOf(me.user.id, me.session.id)
      await this.#audit(tx, me, 'passkey.delete', passkey.name)
    })
  }

  // Password and second factor

  async setPassword(me: CurrentSession, password: string): Promise<void> {
    this.mustBeFresh(me)
    const { user } = me
    this.#accounts.checkRule(password, [user.name, user.displayName, user.email ?? ''])
    const phc = await this.#accounts.passwordCheck.passwords.hash(password)
    await this.#changeWays(me, async (tx) => {
      const { identity } = tx.store
      await identity.setPassword(user.id, phc, this.#context.clock.wallNow())
      await identity.deleteSessionsOf(user.id, me.session.id)
      await this.#accounts.passwordCheck.guesses.clear(identity, user.id)
      await this.#audit(tx, me, 'password.set')
    })
  }

  removePassword(me: CurrentSession): Promise<void> {
    this.mustBeFresh(me)
    return this.#changeWays(me, async (tx) => {
      const { identity } = tx.store
      if ((await identity.passwordOf(me.user.id)) === undefined) throw gone()
      await this.#mustStayUsable(identity, me, { kind: 'password' })
      await identity.deletePassword(me.user.id)
      await identity.deleteSessionsOf(me.user.id, me.session.id)
      await this.#audit(tx, me, 'password.delete')
    })
  }

  /** The secret, and a token of it that the page sends back with the first code: nothing is kept until that is right. */
  async beginTotp(me: CurrentSession): Promise<{ readonly secret: Uint8Array; readonly pending: string }> {
    this.mustBeFresh(me)
    const phc = await this.#context.registry.read(({ identity }) => identity.passwordOf(me.user.id))
    if (phc === undefined)
      throw new IdentityError('login/conflict', 'Codes of an app stand beside a password. Set a password first.')
    const secret = newTotpSecret()
    const untilMs = Buffer.alloc(8)
    untilMs.writeBigUInt64BE(BigInt(this.#context.clock.wallNow() + TOTP_ENROL_MS))
    const sealed = this.#context.secrets.seal(pendingPurpose(me.user), Buffer.concat([untilMs, secret]))
    return { secret, pending: Buffer.from(sealed).toString('base64url') }
  }

  async confirmTotp(me: CurrentSession, pending: string, code: string): Promise<void> {
    this.mustBeFresh(me)
    const { clock, secrets } = this.#context
    const opened = secrets.open(pendingPurpose(me.user), Buffer.from(pending, 'base64url'))
    const untilMs = opened && Number(Buffer.from(opened).readBigUInt64BE())
    if (!opened || untilMs === undefined || untilMs <= clock.wallNow()) throw tooLate()
    const secret = opened.subarray(8)
    const step = totpStep(secret, code, clock.wallNow())
    if (step === undefined) throw wrongCode()
    await this.#change(me, async (tx) => {
      const { identity } = tx.store
      if ((await identity.passwordOf(me.user.id)) === undefined) throw gone()
      const sealed = secrets.seal(totpPurpose(me.user), secret)
      await identity.setTotp(me.user.id, { sealed, lastStep: step, createdAtMs: clock.wallNow() })
      await identity.deleteSessionsOf(me.user.id, me.session.id)
      await this.#audit(tx, me, 'totp.set')
    })
  }

  removeTotp(me: CurrentSession): Promise<void> {
    this.mustBeFresh(me)
    return this.#change(me, async (tx) => {
      if (!(await tx.store.identity.totp(me.user.id))) throw gone()
      await tx.store.identity.deleteTotp(me.user.id)
      await this.#audit(tx, me, 'totp.delete')
    })
  }

  /** An account elsewhere is let go only by who came in without it: so the way that stays was proved. */
  removeElsewhere(me: CurrentSession, providerName: string, subject: string): Promise<void> {
    this.mustBeFresh(me)
    return this.#changeWays(me, async (tx) => {
      const { identity } = tx.store
      const provider = (await identity.oidc.providers()).find(({ name }) => name === providerName)
      const known = provider && (await identity.oidc.identity(provider.id, subject))
      if (!provider || known?.userId !== me.user.id) throw gone()
      const isLeft = provider.leaveAtMs !== undefined
      const which = { kind: 'oidc', providerId: provider.id, subject, isLeft } as const
      await this.#mustStayUsable(identity, me, which)
      const isSame = (way: Way): boolean =>
        way.kind === 'oidc' && way.providerId === provider.id && way.subject === subject
      const others = (await waysOfUser(identity, me.user.id)).filter((way) => way.kind === 'oidc' && !isSame(way))
      const isProved = me.session.method === 'passkey' || me.session.method === 'password'
      if (!isProved && !others.some((way) => isUsable(way, this.#hosts)))
        throw new IdentityError(
          'login/prove-other',
          'Sign in once with the way that you keep, so that it is sure to work. Then take this one away.',
        )
      await identity.oidc.deleteIdentity(me.user.id, provider.id, subject)
      await tx.refreshGroups(me.user.id)
      await identity.deleteSessionsOf(me.user.id, me.session.id)
      await this.#audit(tx, me, 'oidc.unlink', `${provider.name}: ${known.shown}`)
    })
  }

  /** Shown this once; those before count no more. */
  async makeRecoveryCodes(me: CurrentSession): Promise<string[]> {
    this.mustBeFresh(me)
    const codes = Array.from({ length: RECOVERY_CODES }, newCode)
    await this.#change(me, async (tx) => {
      const { identity } = tx.store
      await identity.replaceRecoveryCodes(me.user.id, codes.map(codeHash), this.#context.clock.wallNow())
      await this.#audit(tx, me, 'recovery-codes.create')
    })
    return codes.map(shownCode)
  }

  endSession(me: CurrentSession, id: number): Promise<void> {
    return this.#change(me, async (tx) => {
      if (!(await tx.store.identity.endSession(me.user.id, id))) throw gone()
      await this.#audit(tx, me, 'session.end')
    })
  }

  endOtherSessions(me: CurrentSession): Promise<void> {
    return this.#change(me, async (tx) => {
      await tx.store.identity.deleteSessionsOf(me.user.id, me.session.id)
      await this.#audit(tx, me, 'session.end', 'all others')
    })
  }

  /** Which may be what somebody's machines were waiting for. */
  #changeWays(me: CurrentSession, work: (tx: RegistryTransaction) => Promise<void>): Promise<void> {
    return this.#change(me, async (tx) => {
      await work(tx)
      tx.touchSignIn()
    })
  }

  /** The session may have ended between the request and its turn: then nothing happens any more. */
  #change(me: CurrentSession, work: (tx: RegistryTransaction) => Promise<void>): Promise<void> {
    return this.#context.registry.transaction(async (tx) => {
      const sessions = await tx.store.identity.sessionsOf(me.user.id)
      if (!sessions.some(({ id }) => id === me.session.id)) throw notSignedIn()
      await work(tx)
    })
  }

  async #mustStayUsable(identity: IdentityTables, { user }: CurrentSession, which: Way): Promise<void> {
    if (!mayRemove(await waysOfUser(identity, user.id), which, this.#hosts))
      throw new IdentityError('login/last-way', 'This is the last way into your account. Add another one first.')
  }

  #audit(tx: RegistryTransaction, { user }: CurrentSession, action: string, detail = ''): Promise<void> {
    return tx.audit(`user:${user.id}`, action, `user:${user.id}`, detail)
  }
}

const pendingPurpose = (user: Pick<User, 'id'>): string => `pending totp ${user.id}`

const gone = (): IdentityError =>
  new IdentityError('login/gone', 'It is not there any more. Load this page again to see how things stand.')
