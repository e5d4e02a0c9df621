// What could stand where the caret is in a policy: found by reading the text up to there, which need not be right yet.

export interface KnownNames {
  readonly users: readonly string[]
  readonly tags: readonly string[]
}

export interface Suggestions {
  /** Where what was typed of the word begins. */
  readonly from: number
  readonly words: readonly string[]
}

const MOST_WORDS = 12

const KEYS: Readonly<Record<string, readonly string[]>> = {
  '': ['groups', 'hosts', 'tagOwners', 'acls', 'grants', 'autoApprovers', 'nodeAttrs', 'ssh', 'tests', 'sshTests'],
  acls: ['action', 'src', 'dst', 'proto'],
  grants: ['src', 'dst', 'ip', 'app', 'via'],
  ssh: ['action', 'src', 'dst', 'users', 'checkPeriod', 'acceptEnv'],
  tests: ['src', 'accept', 'deny', 'proto'],
  sshTests: ['src', 'dst', 'accept', 'deny', 'check'],
  autoApprovers: ['routes', 'exitNode'],
  nodeAttrs: ['target', 'attr', 'ipPool'],
}
const AUTOGROUPS = ['internet', 'member', 'tagged', 'self', 'owner', 'admin', 'auditor'].map(
  (one) => `autogroup:${one}`,
)

interface Place {
  /** Keys on the way in, without the numbers of lists. */
  readonly path: readonly string[]
  readonly isKey: boolean
}

/** Undefined where no name can stand: outside of quotes, or in a comment. */
export function suggest(text: string, caret: number, known: KnownNames): Suggestions | undefined {
  const at = placeOf(text.slice(0, caret))
  if (!at) return undefined
  const typed = text.slice(at.from, caret).toLowerCase()
  const found = wordsAt(at, text, known).filter((word) => word.toLowerCase().startsWith(typed) && word !== typed)
  return found.length === 0 ? undefined : { from: at.from, words: [...new Set(found)].slice(0, MOST_WORDS) }
}

/** Reads strings, comments and brackets, and nothing else. */
function placeOf(before: string): (Place & { readonly from: number }) | undefined {
  const stack: { readonly isObject: boolean; key: string; isKeyNext: boolean }[] = []
  for (let i = 0; i < before.length; i++) {
    const top = stack.at(-1)
    const character = before[i]
    if (before.startsWith('//', i)) {
      const end = before.indexOf('\n', i)
      if (end < 0) return undefined
      i = end
    } else if (before.startsWith('/*', i)) {
      const end = before.indexOf('*/', i + 2)
      if (end < 0) return undefined
      i = end + 1
    } else if (character === '"') {
      const end = endOfText(before, i)
      const isKey = top?.isObject === true && top.isKeyNext
      if (end === undefined)
        return { from: i + 1, isKey, path: stack.slice(0, isKey ? -1 : undefined).flatMap(({ key }) => key || []) }
      if (top && isKey) top.key = before.slice(i + 1, end)
      i = end
    } else if (character === '{' || character === '[')
      stack.push({ isObject: character === '{', key: '', isKeyNext: character === '{' })
    else if (character === '}' || character === ']') stack.pop()
    else if (character === ':' && top) top.isKeyNext = false
    else if (character === ',' && top?.isObject) top.isKeyNext = true
  }
  return undefined
}

/** A line ends a text too: it was never closed. */
function endOfText(text: string, from: number): number | undefined {
  for (let i = from + 1; i < text.length; i++) {
    if (text[i] === '\\') i++
    else if (text[i] === '"' || text[i] === '\n') return i
  }
  return undefined
}

function wordsAt({ path, isKey }: Place, text: string, { users, tags }: KnownNames): readonly string[] {
  const [area = '', member = ''] = path
  const people = users.map((name) => (name.includes('@') ? name : `${name}@`))
  const groups = named(text, /"(group:[^"\n]+)"/g)
  const allTags = [...new Set([...tags, ...named(text, /"(tag:[^"\n:]+)"/g)])].toSorted()
  const who = [...AUTOGROUPS, ...groups, ...allTags, ...people, ...hostsIn(text)]
  if (isKey) {
    if (area === 'tagOwners') return allTags
    if (area === 'groups') return ['group:']
    return KEYS[path.length <= 1 ? area : ''] ?? []
  }
  switch (area) {
    case 'groups':
      return people
    case 'tagOwners':
    case 'autoApprovers':
      return [...groups, ...allTags, ...people, 'autogroup:owner', 'autogroup:admin', 'autogroup:member']
    case 'acls':
      if (member === 'action') return ['accept']
      if (member === 'proto') return ['tcp', 'udp', 'icmp']
      return member === 'dst' ? who.map((one) => `${one}:*`).concat('*:*') : [...who, '*']
    case 'ssh':
      if (member === 'action') return ['accept', 'check']
      return member === 'users' ? ['root', 'autogroup:nonroot'] : who
    case 'grants':
      if (member === 'ip') return ['*', 'tcp:*', 'tcp:443', 'tcp:22', 'udp:*', 'icmp:*']
      return member === 'via' ? allTags : [...who, '*']
    case 'tests':
      if (member === 'proto') return ['tcp', 'udp', 'icmp']
      return member === 'src' ? who : who.map((one) => `${one}:443`)
    case 'nodeAttrs':
    case 'sshTests':
      return [...who, '*']
    default:
      return []
  }
}

const named = (text: string, what: RegExp): string[] =>
  [...new Set([...text.matchAll(what)].map(([, name = '']) => name))].filter((name) => !name.includes(' ')).toSorted()

const hostsIn = (text: string): string[] => {
  const [, body = ''] = /"hosts"\s*:\s*\{([^}]*)\}/.exec(text) ?? []
  return named(body, /"([^"\n]+)"\s*:/g)
}
