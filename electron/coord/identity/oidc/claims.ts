// What a provider says of a person, cut to what we use. The provider is trusted to know its people, not to be reasonable.

import { plainText } from '../plain-text.ts'

/** OpenID Connect Core §2: at most 255 ASCII characters. */
const MOST_SUBJECT = 255
const MOST_GROUPS = 256
const MOST_GROUP_CHARS = 128
const MOST_EMAIL_CHARS = 254

export interface PersonClaims {
  /** The provider's own name for the person, given to nobody else. */
  readonly subject: string
  readonly email: string | undefined
  /** The provider has seen that the address is the person's. */
  readonly emailVerified: boolean
  readonly userName: string | undefined
  readonly displayName: string | undefined
  readonly groups: readonly string[]
  /** How long ago the person showed the provider who they are, by its own clock; undefined where it does not say. */
  readonly authAgeMs: number | undefined
}

/** Undefined when there is no subject, or one that is too long: then it is nobody. */
export function readClaims(raw: Readonly<Record<string, unknown>>, groupsClaim: string): PersonClaims | undefined {
  const subject = raw['sub']
  if (typeof subject !== 'string' || subject === '' || subject.length > MOST_SUBJECT) return undefined
  const email = raw['email']
  const isAddress = typeof email === 'string' && email.length <= MOST_EMAIL_CHARS && /^[^\s@]+@[^\s@]+$/.test(email)
  const [issuedAt, authTime] = [raw['iat'], raw['auth_time']]
  return {
    subject,
    email: isAddress ? email : undefined,
    emailVerified: isAddress && raw['email_verified'] === true,
    userName: shown(raw['preferred_username']),
    displayName: shown(raw['name']),
    groups: groupsOf(raw[groupsClaim]),
    authAgeMs: typeof issuedAt === 'number' && typeof authTime === 'number' ? (issuedAt - authTime) * 1000 : undefined,
  }
}

/** As the person knows their account there. */
export const shownAs = ({ email, userName, displayName, subject }: PersonClaims): string =>
  plainText(email ?? userName ?? displayName ?? subject)

function shown(value: unknown): string | undefined {
  const text = typeof value === 'string' ? plainText(value.slice(0, 512)).trim() : ''
  return text === '' ? undefined : text
}

/** Some providers write a single group as a text. What is too long to be a name, or beyond the bound, is left out. */
function groupsOf(value: unknown): string[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : typeof value === 'string' ? [value] : []
  const names = list.filter(
    (one): one is string => typeof one === 'string' && one !== '' && one.length <= MOST_GROUP_CHARS,
  )
  return [...new Set(names)].slice(0, MOST_GROUPS)
}
