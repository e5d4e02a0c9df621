// HuJSON: JSON with // and /* */ comments and with commas after the last item. Every value knows where it stands, so that
// whoever finds fault with it can say so.

/** A policy has about 20 KB in large companies; this is what the field's hosted service takes. */
const MOST_CHARS = 2 * 1024 * 1024
/** Policies need six; without a bound a crafted text overflows the stack. */
const MOST_DEPTH = 32

/** Offset in the text, in UTF-16 units. */
export type Offset = number

export type HuJson =
  | { readonly kind: 'object'; readonly at: Offset; readonly members: readonly HuMember[] }
  | { readonly kind: 'array'; readonly at: Offset; readonly items: readonly HuJson[] }
  | { readonly kind: 'string'; readonly at: Offset; readonly value: string }
  | { readonly kind: 'number'; readonly at: Offset; readonly value: number }
  | { readonly kind: 'boolean'; readonly at: Offset; readonly value: boolean }
  | { readonly kind: 'null'; readonly at: Offset }

export interface HuMember {
  readonly name: string
  readonly at: Offset
  readonly value: HuJson
}

export class HuJsonError extends Error {
  readonly at: Offset

  constructor(at: Offset, message: string) {
    super(message)
    this.name = 'HuJsonError'
    this.at = at
  }
}

/** Throws HuJsonError, and nothing else. */
export function parseHuJson(text: string): HuJson {
  if (text.length > MOST_CHARS) throw new HuJsonError(MOST_CHARS, 'the text is longer than 2 MiB')
  const reader = new Reader(text)
  reader.skipSpace()
  const value = reader.value(0)
  reader.skipSpace()
  if (!reader.isAtEnd) reader.fail('nothing may follow the document')
  return value
}

/** Counted from 1, as editors do. */
export function lineAndColumn(text: string, at: Offset): { readonly line: number; readonly column: number } {
  const before = text.slice(0, at)
  const lineStart = before.lastIndexOf('\n') + 1
  let line = 1
  for (let i = before.indexOf('\n'); i >= 0; i = before.indexOf('\n', i + 1)) line++
  return { line, column: at - lineStart + 1 }
}

/** The value without its places, as JSON.parse would give it. */
export function plainJson(value: HuJson): unknown {
  switch (value.kind) {
    case 'object':
      return Object.fromEntries(value.members.map(({ name, value }) => [name, plainJson(value)]))
    case 'array':
      return value.items.map(plainJson)
    case 'null':
      return null
    case 'string':
    case 'number':
    case 'boolean':
      return value.value
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
}

/** Stands in a text as it is; false at the end of the document too. */
const isPlain = (code: number): boolean => code >= 0x20 && code !== QUOTE && code !== BACKSLASH

const QUOTE = 0x22
const BACKSLASH = 0x5c

class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
    if (text.startsWith('\uFEFF')) this.#at = 1
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#text.length
  }

  fail(message: string, at = this.#at): never {
    throw new HuJsonError(at, message)
  }

  skipSpace(): void {
    for (;;) {
      const char = this.#text[this.#at]
      if (char === ' ' || char === '\t' || char === '\n' || char === '\r') this.#at++
      else if (this.#text.startsWith('//', this.#at)) {
        const end = this.#text.indexOf('\n', this.#at)
        this.#at = end < 0 ? this.#text.length : end + 1
      } else if (this.#text.startsWith('/*', this.#at)) {
        const end = this.#text.indexOf('*/', this.#at + 2)
        if (end < 0) this.fail('this comment has no end; close it with */')
        this.#at = end + 2
      } else return
    }
  }

  value(depth: number): HuJson {
    if (depth > MOST_DEPTH) this.fail(`lists and objects are nested more than ${MOST_DEPTH} deep`)
    const at = this.#at
    const char = this.#text[at]
    if (char === '{') return this.#object(depth)
    if (char === '[') return this.#array(depth)
    if (char === '"') return { kind: 'string', at, value: this.#string() }
    if (char === undefined) this.fail('the text ends where a value should stand')
    const word = /[\w.+-]*/y
    word.lastIndex = at
    const found = word.exec(this.#text)?.[0] ?? ''
    if (found === 'true' || found === 'false' || found === 'null') {
      this.#at += found.length
      return found === 'null' ? { kind: 'null', at } : { kind: 'boolean', at, value: found === 'true' }
    }
    if (/^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(found)) {
      this.#at += found.length
      return { kind: 'number', at, value: Number(found) }
    }
    if (char === "'") this.fail('texts stand in double quotes (")')
    if (found !== '') this.fail(`"${found.slice(0, 40)}" is no value; a text stands in double quotes`)
    this.fail(`there is ${JSON.stringify(char)} where a value should stand`)
  }

  #object(depth: number): HuJson {
    const at = this.#at++
    const members: HuMember[] = []
    const names = new Set<string>()
    for (this.skipSpace(); this.#text[this.#at] !== '}'; this.skipSpace()) {
      const nameAt = this.#at
      if (this.#text[nameAt] !== '"')
        this.fail(
          this.isAtEnd ? 'the object that begins here has no }' : 'a name in double quotes or } should stand here',
          this.isAtEnd ? at : nameAt,
        )
      const name = this.#string()
      if (names.has(name)) this.fail(`"${name}" stands twice in this object; keep one`, nameAt)
      names.add(name)
      this.skipSpace()
      if (this.#text[this.#at] !== ':') this.fail(`":" should follow the name "${name}"`)
      this.#at++
      this.skipSpace()
      members.push({ name, at: nameAt, value: this.value(depth + 1) })
      if (!this.#comma('}')) break
    }
    this.#close('}', at)
    return { kind: 'object', at, members }
  }

  #array(depth: number): HuJson {
    const at = this.#at++
    const items: HuJson[] = []
    for (this.skipSpace(); this.#text[this.#at] !== ']'; this.skipSpace()) {
      if (this.isAtEnd) this.fail('the list that begins here has no ]', at)
      items.push(this.value(depth + 1))
      if (!this.#comma(']')) break
    }
    this.#close(']', at)
    return { kind: 'array', at, items }
  }

  /** False when the end should come next. */
  #comma(end: string): boolean {
    this.skipSpace()
    if (this.#text[this.#at] === ',') {
      this.#at++
      return true
    }
    if (this.#text[this.#at] !== end && !this.isAtEnd) this.fail(`a comma or ${end} should stand here`)
    return false
  }

  #close(end: string, from: Offset): void {
    this.skipSpace()
    if (this.#text[this.#at] !== end) this.fail(`what begins here has no ${end}`, from)
    this.#at++
  }

  #string(): string {
    const from = this.#at++
    let value = ''
    for (;;) {
      let end = this.#at
      while (isPlain(this.#text.charCodeAt(end))) end++
      const run = this.#text.slice(this.#at, end)
      value += run
      this.#at += run.length
      const char = this.#text[this.#at]
      if (char === '"') {
        this.#at++
        return value
      }
      if (char === undefined || char === '\n') this.fail('this text has no closing "', from)
      if (char !== '\\') this.fail('a control character stands in a text; write it as \\u00XX')
      value += this.#escape()
    }
  }

  #escape(): string {
    const letter = this.#text[this.#at + 1] ?? ''
    const simple = ESCAPES[letter]
    if (simple !== undefined) {
      this.#at += 2
      return simple
    }
    const hex = this.#text.slice(this.#at + 2, this.#at + 6)
    if (letter !== 'u' || !/^[0-9a-fA-F]{4}$/.test(hex))
      this.fail('after \\ comes one of " \\ / b f n r t, or u and four hex digits')
    this.#at += 6
    return String.fromCharCode(Number.parseInt(hex, 16))
  }
}
