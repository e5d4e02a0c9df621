// Names that reach DNS: node names from whatever a machine calls itself, and the base domain they hang under.

/** One label, RFC 1035 §2.3.4. */
const LABEL_BYTES = 63
/** A whole name in text, without the trailing dot. */
const NAME_BYTES = 253
const LOCAL_SUFFIXES = ['.localdomain', '.local', '.lan']
/** How long a host name may be before it is not looked at any further. */
const RAW_CHARS = 1024

/**
 * A DNS label from a host name, as clients of this field expect it (control.md §8.4): local suffixes off, spaces and
 * `.@_` inside become dashes, anything else that is not a letter or digit goes, lower case, at most 63 bytes. Empty when
 * nothing is left.
 */
export function sanitiseLabel(raw: string): string {
  let name = raw.slice(0, RAW_CHARS).toLowerCase()
  for (const suffix of LOCAL_SUFFIXES) if (name.endsWith(suffix)) name = name.slice(0, -suffix.length)
  return trimDashes(trimDashes(name.replaceAll(/[ .@_]/g, '-').replaceAll(/[^a-z0-9-]/g, '')).slice(0, LABEL_BYTES))
}

const trimDashes = (text: string): string => text.replaceAll(/^-+|-+$/g, '')

/** True for what `sanitiseLabel` leaves alone: 1 to 63 of a-z, 0-9 and inner dashes. */
export function isLabel(text: string): boolean {
  return /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text)
}

/** The wanted label, or with -1, -2, … where it is taken. */
export function freeLabel(raw: string, isTaken: (label: string) => boolean): string {
  const wanted = sanitiseLabel(raw) || 'node'
  if (!isTaken(wanted)) return wanted
  for (let n = 1; ; n++) {
    const ending = `-${n}`
    const label = trimDashes(wanted.slice(0, LABEL_BYTES - ending.length)) + ending
    if (!isTaken(label)) return label
  }
}

/** True for a name that `freeLabel` may have made of this host name; then a report of it changes nothing. */
export function isNameFor(label: string, raw: string): boolean {
  const wanted = sanitiseLabel(raw) || 'node'
  return label === wanted || (/^-\d+$/.test(label.slice(wanted.length)) && label.startsWith(wanted))
}

/**
 * Below `.internal`, which is set aside for private use and will never exist on the internet. An administrator who owns a
 * domain sets a sub-domain of it instead, which TLS certificates need.
 */
export const DEFAULT_BASE_DOMAIN = 'home.peerway.internal'

/** Why a base domain cannot serve; undefined when it can. */
export function baseDomainProblem(domain: string): string | undefined {
  if (domain.length > NAME_BYTES - LABEL_BYTES - 1) return 'it is too long'
  const labels = domain.split('.')
  if (labels.length < 2) return 'it needs at least two labels, like "home.example"'
  const wrong = labels.find((label) => !isLabel(label))
  return wrong === undefined ? undefined : `"${wrong}" is not a DNS label in lower case`
}
