// As much XML as UPnP needs, read from devices that are not trusted: elements and text. A document type declaration is
// refused, so there are no entities but the five of XML itself, nothing outside the document is ever fetched and nothing can
// expand. Work and memory are linear in the input, which is bounded.

import { fromUtf8 } from '../../base/bytes.ts'
import { WireError } from '../codec.ts'

export const MOST_XML_BYTES = 256 * 1024
const MOST_ELEMENTS = 4_096
const MOST_DEPTH = 32

export interface XmlElement {
  /** Without a namespace prefix. */
  readonly name: string
  readonly children: readonly XmlElement[]
  /** Its own text, trimmed; that of its children is theirs. */
  readonly text: string
}

interface Open {
  readonly name: string
  readonly tag: string
  readonly children: XmlElement[]
  text: string
}

/** The root element. Throws WireError. */
export function readXml(bytes: Uint8Array): XmlElement {
  if (bytes.length > MOST_XML_BYTES) throw new WireError('wire/too-long', `An XML document of ${bytes.length} bytes.`)
  const source = fromUtf8(bytes)
  const open: Open[] = []
  let elements = 0
  let at = 0
  for (;;) {
    const tagAt = source.indexOf('<', at)
    if (tagAt < 0) throw endsEarly()
    const top = open.at(-1)
    if (top) top.text += unescape(source.slice(at, tagAt))
    if (source.startsWith('<!--', tagAt)) at = after(source, '-->', tagAt + 4)
    else if (source.startsWith('<![CDATA[', tagAt)) {
      at = after(source, ']]>', tagAt + 9)
      if (top) top.text += source.slice(tagAt + 9, at - 3)
    } else if (source.startsWith('<!', tagAt)) throw bad('a document type declaration')
    else if (source.startsWith('<?', tagAt)) at = after(source, '?>', tagAt + 2)
    else {
      at = after(source, '>', tagAt)
      const inside = source.slice(tagAt + 1, at - 1)
      if (inside.startsWith('/')) {
        if (top?.tag !== inside.slice(1).trim()) throw bad('tags that do not match')
      } else {
        elements += 1
        if (elements > MOST_ELEMENTS || open.length >= MOST_DEPTH) throw new WireError('wire/too-long', 'Too much XML.')
        const tag = /^[A-Za-z_][\w.:-]*/.exec(inside)?.[0]
        if (tag === undefined) throw bad('a tag without a name')
        open.push({ tag, name: tag.slice(tag.indexOf(':') + 1), children: [], text: '' })
        if (!inside.endsWith('/')) continue
      }
      const done = open.pop()
      if (!done) throw bad('an end tag without a start')
      const element = { name: done.name, children: done.children, text: done.text.trim() }
      const parent = open.at(-1)
      if (!parent) return element
      parent.children.push(element)
    }
  }
}

/** The first child of this name. */
export function child(element: XmlElement, name: string): XmlElement | undefined {
  return element.children.find((one) => one.name === name)
}

export function childText(element: XmlElement, name: string): string {
  return child(element, name)?.text ?? ''
}

/** The first element of this name at any depth, the element itself included. */
export function descendant(element: XmlElement, name: string): XmlElement | undefined {
  if (element.name === name) return element
  for (const one of element.children) {
    const found = descendant(one, name)
    if (found) return found
  }
  return undefined
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
}
const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

export function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? '')
}

function unescape(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-fA-F]{1,6})|(\w{1,16}));/g, (whole, decimal, hex, name) => {
    if (typeof name === 'string') return NAMED[name] ?? whole
    const code = typeof decimal === 'string' ? Number(decimal) : Number.parseInt(String(hex), 16)
    return code > 0 && code <= 0x10_ff_ff ? String.fromCodePoint(code) : ''
  })
}

/** Just past the next `mark`. */
function after(source: string, mark: string, from: number): number {
  const found = source.indexOf(mark, from)
  if (found < 0) throw endsEarly()
  return found + mark.length
}

const endsEarly = (): WireError => new WireError('wire/short', 'The XML document ends too early.')
const bad = (what: string): WireError => new WireError('wire/bad-value', `The XML has ${what}.`)
