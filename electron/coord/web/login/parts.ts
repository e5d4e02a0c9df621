// Parts that several of the pages show.

import type { AccountView, MachineView } from '../../identity/login-api.ts'
import { h, icon, mark, type IconName } from './dom.ts'
import type { Page } from './page.ts'
import { words } from './words.ts'

export interface Heading {
  readonly title: string
  readonly lines?: readonly string[]
  /** For lists; forms stay narrow. */
  readonly isWide?: boolean
}

export function column(heading: Heading, ...children: readonly (Node | undefined | false)[]): HTMLElement {
  return h(
    'div',
    { class: heading.isWide === true ? 'column broad' : 'column' },
    mark(),
    h('h1', { tabindex: -1 }, heading.title),
    ...(heading.lines ?? []).map((line) => h('p', { class: 'under' }, line)),
    ...children,
  )
}

export function note(kind: '' | 'warn' | 'bad', text: string, command?: string): HTMLElement {
  const name: IconName = kind === 'bad' ? 'problem' : kind === 'warn' ? 'alert' : 'info'
  return h(
    'div',
    { class: `note ${kind}` },
    icon(name),
    h('p', {}, text, command !== undefined && h('code', {}, command)),
  )
}

/** Where trouble is said: read out at once, and seen where the eyes are. */
export class Trouble {
  readonly element = h('div', { role: 'alert', class: 'trouble' })

  say(text: string): void {
    this.element.replaceChildren(h('div', { class: 'gap-2' }, note('bad', text)))
  }

  clear(): void {
    this.element.replaceChildren()
  }
}

export function primary(text: string, name: IconName | undefined, onClick?: () => void): HTMLButtonElement {
  return h(
    'button',
    { class: 'btn primary wide', type: onClick ? 'button' : 'submit', on: onClick ? { click: onClick } : {} },
    name && icon(name),
    text,
  )
}

export function wayRow(name: IconName, text: string, onClick: () => void): HTMLElement {
  return h(
    'div',
    { class: 'card gap-2' },
    h(
      'button',
      { class: 'row', type: 'button', on: { click: onClick } },
      icon(name),
      h('span', {}, text),
      icon('chevron', 's'),
    ),
  )
}

export function link(text: string, onClick: () => void, more: Record<string, string> = {}): HTMLButtonElement {
  return h('button', { class: 'link', type: 'button', on: { click: onClick }, ...more }, text)
}

export function foot(): HTMLElement {
  return h('p', { class: 'foot' }, icon('shield', 's'), h('span', {}, words.ownServer))
}

export interface Field {
  /** What is missing when it is empty. */
  readonly kind: 'name' | 'password' | 'code' | 'setupCode'
  readonly element: HTMLElement
  readonly input: HTMLInputElement
}

let fields = 0

interface FieldWish {
  readonly label: string
  readonly autocomplete: AutoFill
  readonly hint?: string
  readonly value?: string
}

export function nameField(wish: FieldWish): Field {
  const id = `field-${++fields}`
  const input = h('input', {
    id,
    name: 'username',
    type: 'text',
    required: true,
    maxlength: 64,
    autocomplete: wish.autocomplete,
    autocapitalize: 'none',
    spellcheck: 'false',
    'aria-describedby': wish.hint === undefined ? undefined : `${id}-hint`,
  })
  input.value = wish.value ?? ''
  return { kind: 'name', input, element: field(id, wish, h('div', { class: 'input' }, input)) }
}

/** Of an app, off paper, or off a terminal. */
export function codeField(kind: 'code' | 'setupCode', wish: FieldWish & { readonly isDigits?: boolean }): Field {
  const id = `field-${++fields}`
  const input = h('input', {
    id,
    name: kind,
    type: 'text',
    required: true,
    maxlength: 40,
    autocomplete: wish.autocomplete,
    autocapitalize: wish.isDigits === true ? 'none' : 'characters',
    inputmode: wish.isDigits === true ? 'numeric' : undefined,
    spellcheck: 'false',
    class: 'code',
    'aria-describedby': wish.hint === undefined ? undefined : `${id}-hint`,
  })
  input.value = wish.value ?? ''
  return { kind, input, element: field(id, wish, h('div', { class: 'input' }, input)) }
}

export function passwordField(wish: FieldWish): Field {
  const id = `field-${++fields}`
  const input = h('input', {
    id,
    name: 'password',
    type: 'password',
    required: true,
    autocomplete: wish.autocomplete,
    spellcheck: 'false',
    'aria-describedby': wish.hint === undefined ? undefined : `${id}-hint`,
  })
  const eye = h('button', {
    class: 'eye',
    type: 'button',
    on: { click: () => show(input.type === 'password') },
  })
  const show = (isShown: boolean): void => {
    input.type = isShown ? 'text' : 'password'
    const text = isShown ? words.fields.hide : words.fields.show
    eye.setAttribute('aria-label', text)
    eye.setAttribute('title', text)
    eye.replaceChildren(icon(isShown ? 'eyeOff' : 'eye'))
  }
  show(false)
  return { kind: 'password', input, element: field(id, wish, h('div', { class: 'input' }, input, eye)) }
}

function field(id: string, { label, hint }: FieldWish, box: HTMLElement): HTMLElement {
  return h(
    'div',
    { class: 'field' },
    h('label', { for: id }, label),
    box,
    hint !== undefined && h('p', { class: 'hint', id: `${id}-hint` }, hint),
  )
}

export function machineFacts(machine: MachineView): HTMLElement {
  const facts: readonly [string, string, string?][] = [
    [words.machine.name, machine.name || words.machine.unknown],
    [words.machine.system, systemText(machine.system)],
    [words.machine.source, sourceText(machine.source)],
    [words.machine.asked, askedText(machine.askedSecondsAgo)],
    [words.machine.key, machine.key, 'key'],
  ]
  return h(
    'div',
    { class: 'card' },
    h(
      'dl',
      { class: 'facts' },
      ...facts.flatMap(([name, value, kind]) => [h('dt', {}, name), h('dd', { class: kind ?? '' }, value)]),
    ),
  )
}

const SYSTEMS: Readonly<Record<string, string>> = {
  linux: 'Linux',
  windows: 'Windows',
  darwin: 'macOS',
  macos: 'macOS',
  ios: 'iOS',
  android: 'Android',
  freebsd: 'FreeBSD',
  openbsd: 'OpenBSD',
}

const systemText = (system: string): string =>
  system === '' ? words.machine.unknown : (SYSTEMS[system.toLowerCase()] ?? system)

export function sourceText(source: string): string {
  if (source.startsWith('127.') || source === '::/64') return words.machine.thisComputer
  if (/^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|169\.254\.|fe80:|f[cd])/i.test(source))
    return words.machine.near(source)
  return source
}

function askedText(secondsAgo: number): string {
  const minutes = Math.floor(secondsAgo / 60)
  return minutes === 0 ? words.machine.now : words.machine.minutesAgo(minutes)
}

export const whole = ({ name, displayName }: AccountView): string =>
  displayName === name ? name : `${displayName} (${name})`

export interface Item {
  readonly icon: IconName
  readonly name: string
  /** Beside the name, in a box. */
  readonly tag?: string | undefined
  readonly text: string
  readonly actions?: readonly (HTMLElement | undefined | false)[]
}

/** A card of things with what can be done to each. */
export function list(items: readonly Item[]): HTMLElement {
  return h(
    'ul',
    { class: 'card list', role: 'list' },
    ...items.map(({ icon: name, name: title, tag, text, actions = [] }) =>
      h(
        'li',
        { class: 'item' },
        icon(name),
        h(
          'div',
          { class: 'text' },
          h('p', { class: 'name' }, title, tag !== undefined && h('span', { class: 'tag' }, tag)),
          h('p', { class: 'second' }, text),
        ),
        h('div', { class: 'actions' }, ...actions),
      ),
    ),
  )
}

export function section(title: string, ...children: readonly (Node | undefined | false)[]): HTMLElement {
  return h('section', { class: 'gap-3' }, h('h2', {}, title), ...children.filter((child) => child !== undefined))
}

/** A verb in a list; its accessible name says of what. */
export function action(text: string, what: string, onClick: () => void, kind: '' | 'danger' = ''): HTMLButtonElement {
  return h(
    'button',
    { class: `btn small ${kind}`, type: 'button', 'aria-label': `${text}: ${what}`, on: { click: onClick } },
    text,
  )
}

/** A text to take along, with a button that copies it. */
export function copyable(text: string, label: string): HTMLElement {
  const said = h('span', { class: 'vh', role: 'status' })
  const button = h('button', {
    class: 'eye',
    type: 'button',
    'aria-label': label,
    title: label,
    on: {
      click: () => {
        // Absent where the page is not encrypted: then the text is selected, to be copied by hand.
        const copied = navigator.clipboard?.writeText(text) ?? Promise.reject(new Error('no clipboard'))
        copied.then(
          () => {
            button.replaceChildren(icon('check'))
            said.textContent = words.account.copied
            setTimeout(() => button.replaceChildren(icon('copy')), COPIED_MS)
          },
          () => getSelection()?.selectAllChildren(shown),
        )
      },
    },
  })
  button.append(icon('copy'))
  const shown = h('code', {}, text)
  return h('div', { class: 'input copy' }, shown, button, said)
}

/** How long the sign of success stays (design guide, §4). */
const COPIED_MS = 1_200

export function endPage(title: string, text: string, hasAccount = false): Page {
  const account = hasAccount && h('p', { class: 'gap-2' }, h('a', { href: '/account' }, words.end.account))
  return { title, element: column({ title, lines: [text] }, account) }
}
