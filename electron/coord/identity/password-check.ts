// A name, a password and, where the account has a second factor, its code: checked together, guessed at a bounded pace.

import type { Clock } from '../../base/clock.ts'
import type { User } from '../model.ts'
import type { ServerRegistry } from '../server-registry.ts'
import type { IdentityTables } from '../store/identity-store.ts'
import { GuessLimits, type Guesser } from './guess-limits.ts'
import { IdentityError, tooManyTries } from './identity-error.ts'
import { Passwords } from './passwords.ts'
import type { ServerSecrets } from './server-secrets.ts'
import { totpStep } from './totp.ts'

export interface Typed {
  readonly password: string
  /** Of the second factor. */
  readonly code: string | undefined
}

export interface PasswordProof {
  readonly user: User
  /** Throws when the password or the code counts no more: it was changed, or used, meanwhile. */
  settle(identity: IdentityTables): Promise<void>
}

/** What is refused, for the audit log; never what was typed. */
export type NoteRefusal = (user: User | undefined, detail: string) => Promise<void>

export class PasswordCheck {
  readonly passwords = new Passwords()
  readonly guesses: GuessLimits
  readonly #registry: ServerRegistry
  readonly #clock: Clock
  readonly #secrets: ServerSecrets

  constructor(registry: ServerRegistry, clock: Clock, secrets: ServerSecrets) {
    this.#registry = registry
    this.#clock = clock
    this.#secrets = secrets
    this.guesses = new GuessLimits(registry, clock)
  }

  /** Throws IdentityError; in the same words and time whether or not there is such an account. */
  async check(guesser: Guesser, name: string, { password, code }: Typed, note: NoteRefusal): Promise<PasswordProof> {
    const user = [...this.#registry.users()].find((user) => user.name.toLowerCase() === name.toLowerCase())
    const verdict = await this.guesses.begin(guesser, name, user)
    if (verdict.kind === 'wait') throw tooManyTries(verdict.ms)
    if (verdict.kind === 'closed')
      throw new IdentityError(
        'login/password-closed',
        'After a hundred wrong tries no password is taken for this name. Use a passkey or a recovery code, or ask the ' +
          'owner of this network for a new link.',
      )
    // An account that is not there costs the same work as one that is.
    const { phc, totp } = await this.#registry.read(async ({ identity }) => ({
      phc: await identity.passwordOf(user?.id ?? 0),
      totp: await identity.totp(user?.id ?? 0),
    }))
    const { matches, isOutdated } = await this.passwords.compare(phc, password)
    if (!user || !matches) {
      await note(user, 'password')
      throw wrongCredentials()
    }
    const step = totp && (await this.#step(user, totp.sealed, code, note))
    const fresh = isOutdated ? await this.passwords.hash(password) : undefined
    return {
      user,
      settle: async (identity) => {
        // A reset or a new second factor may have come between; what was checked counts no more then.
        if ((await identity.passwordOf(user.id)) !== phc) throw wrongCredentials()
        const isFactorSame = ((await identity.totp(user.id)) !== undefined) === (step !== undefined)
        if (!isFactorSame) throw wrongCredentials()
        if (step !== undefined && !(await identity.noteTotpStep(user.id, step))) throw wrongCode()
        if (fresh !== undefined) await identity.setPassword(user.id, fresh, this.#clock.wallNow())
        await this.guesses.succeeded(identity, guesser, user.id)
      },
    }
  }

  async #step(user: User, sealed: Uint8Array, code: string | undefined, note: NoteRefusal): Promise<number> {
    if (code === undefined)
      throw new IdentityError('login/code-needed', 'Type the code that your authenticator app shows now.')
    const secret = this.#secrets.open(totpPurpose(user), sealed)
    const step = secret && totpStep(secret, code, this.#clock.wallNow())
    if (step === undefined) {
      await note(user, 'password, wrong code')
      throw wrongCode()
    }
    return step
  }
}

export const totpPurpose = (user: Pick<User, 'id'>): string => `totp ${user.id}`

const wrongCredentials = (): IdentityError =>
  new IdentityError('login/wrong-credentials', 'The name or the password is not right.')

export const wrongCode = (): IdentityError =>
  new IdentityError(
    'login/wrong-code',
    'This code is not right, or was used already. Wait for the next one, and check that the clock of the device is right.',
  )
