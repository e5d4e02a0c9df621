// Checks for values that cross a process border: each takes anything and returns the typed value or throws BadArgument.

export class BadArgument extends Error {
  readonly code = 'contract/bad-argument'
}

export type Check<T> = (raw: unknown) => T

export const nothing: Check<void> = () => undefined

export function text(most: number, least = 1): Check<string> {
  return (raw) => {
    if (typeof raw !== 'string' || raw.length > most || raw.trim().length < least)
      throw new BadArgument(`Expected ${least} to ${most} characters of text.`)
    // Not every database can hold it, and no system call.
    if (raw.includes('\0')) throw new BadArgument('Expected text without null characters.')
    return raw
  }
}

export const yesNo: Check<boolean> = (raw) => {
  if (typeof raw !== 'boolean') throw new BadArgument('Expected true or false.')
  return raw
}

export function whole(least: number, most: number): Check<number> {
  return (raw) => {
    if (typeof raw !== 'number' || !Number.isInteger(raw) || raw < least || raw > most)
      throw new BadArgument(`Expected a whole number from ${least} to ${most}.`)
    return raw
  }
}

export function oneOf<const T extends string>(...allowed: readonly T[]): Check<T> {
  return (raw) => {
    const found = allowed.find((value) => value === raw)
    if (found === undefined) throw new BadArgument(`Expected one of ${allowed.join(', ')}.`)
    return found
  }
}

export function optional<T>(check: Check<T>): Check<T | undefined> {
  return (raw) => (raw === undefined || raw === null ? undefined : check(raw))
}

export function listOf<T>(check: Check<T>, most: number): Check<readonly T[]> {
  return (raw) => {
    if (!Array.isArray(raw) || raw.length > most) throw new BadArgument(`Expected a list of at most ${most}.`)
    return raw.map((item: unknown) => check(item))
  }
}

/** An object with exactly these members checked; unknown members are refused, so that a typo never goes unseen. */
export function shape<S extends Record<string, Check<unknown>>>(
  members: S,
): Check<{ readonly [K in keyof S]: ReturnType<S[K]> }> {
  return (raw) => {
    if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) throw new BadArgument('Expected an object.')
    for (const name of Object.keys(raw))
      if (!Object.hasOwn(members, name)) throw new BadArgument(`Unknown member "${name.slice(0, 40)}".`)
    const input = raw as Record<string, unknown>
    const checked: Record<string, unknown> = {}
    for (const [name, check] of Object.entries(members)) {
      try {
        checked[name] = check(input[name])
      } catch (error) {
        throw error instanceof BadArgument ? new BadArgument(`${name}: ${error.message}`) : error
      }
    }
    return checked as { readonly [K in keyof S]: ReturnType<S[K]> }
  }
}
