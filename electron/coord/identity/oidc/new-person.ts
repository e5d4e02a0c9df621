// The name under which a person comes in whom only a provider knows. Policies name people by name and by address, so
// neither may be something that the person just made up at the provider.

import type { PersonClaims } from './claims.ts'

const MOST_NAME_CHARS = 64
/** Letters, digits and the marks that names here may have, but no @: what follows it is ours. */
const NO_NAME_CHARS = /[^\p{L}\p{N}._+-]+/gu

/**
 * The proven address, or else a name that says whence it comes: ines@corp. No other name has the form name@provider unless
 * somebody here gave it.
 */
export function nameForNewcomer(
  claims: PersonClaims,
  providerName: string,
  isTaken: (name: string) => boolean,
): string | undefined {
  const address = claims.emailVerified ? claims.email : undefined
  if (address !== undefined && address.length <= MOST_NAME_CHARS && /^[\p{L}\p{N}][\p{L}\p{N}._@+-]*$/u.test(address))
    return isTaken(address) ? undefined : address
  const wanted = claims.userName ?? claims.email ?? claims.displayName ?? ''
  const part = (wanted.split('@')[0] ?? '').replaceAll(NO_NAME_CHARS, '-').replace(/^[^\p{L}\p{N}]+/u, '')
  const base = (part === '' ? 'person' : part).slice(0, MOST_NAME_CHARS - providerName.length - 5)
  for (let n = 1; n < 1_000; n++) {
    const name = `${base}${n === 1 ? '' : n}@${providerName}`
    if (!isTaken(name)) return name
  }
  return undefined
}
