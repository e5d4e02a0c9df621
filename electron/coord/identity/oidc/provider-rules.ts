// What a tailnet wants of a provider: whom it lets in, and where its groups stand.

import type { PersonClaims } from './claims.ts'

export interface ProviderRules {
  /** On the button; the provider's name where empty. */
  readonly label: string
  /** Only people with a proven address of one of these. */
  readonly domains: readonly string[]
  /** Only people in one of these groups of the provider's. */
  readonly groups: readonly string[]
  /** Whoever the provider knows, when it is empty otherwise. */
  readonly everyone: boolean
  /** Asked for beside "openid". */
  readonly scopes: readonly string[]
  /** The claim that lists a person's groups. */
  readonly groupsClaim: string
}

export const DEFAULT_RULES: ProviderRules = {
  label: '',
  domains: [],
  groups: [],
  everyone: false,
  scopes: ['profile', 'email'],
  groupsClaim: 'groups',
}

/** Total: what cannot be read is as if never set, and so lets nobody new in. */
export function readRules(text: string): ProviderRules {
  let raw: Readonly<Record<string, unknown>> = {}
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) raw = value as Record<string, unknown>
  } catch {
    // As below.
  }
  const texts = (value: unknown): readonly string[] | undefined =>
    Array.isArray(value) && value.every((one) => typeof one === 'string') ? value : undefined
  const one = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)
  return {
    label: one(raw['label']) ?? DEFAULT_RULES.label,
    domains: texts(raw['domains']) ?? [],
    groups: texts(raw['groups']) ?? [],
    everyone: raw['everyone'] === true,
    scopes: texts(raw['scopes']) ?? DEFAULT_RULES.scopes,
    groupsClaim: one(raw['groupsClaim']) ?? DEFAULT_RULES.groupsClaim,
  }
}

export type Admission =
  | 'yes'
  /** No rule lets anybody new in; who linked their account signs in. */
  | 'known-only'
  /** The provider does not say that the address is the person's. */
  | 'unproven-address'
  | 'other-domain'
  | 'not-in-group'

/** Each kind of rule that there is must hold, so that a second one never lets more people in. */
export function admission(rules: ProviderRules, { email, emailVerified, groups }: PersonClaims): Admission {
  if (rules.domains.length > 0) {
    if (email === undefined || !emailVerified) return 'unproven-address'
    const domain = email.slice(email.lastIndexOf('@') + 1).toLowerCase()
    if (!rules.domains.some((one) => one.toLowerCase() === domain)) return 'other-domain'
  }
  if (rules.groups.length > 0 && !rules.groups.some((one) => groups.includes(one))) return 'not-in-group'
  return rules.everyone || rules.domains.length + rules.groups.length > 0 ? 'yes' : 'known-only'
}
