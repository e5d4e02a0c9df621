// Parts that several of the pages show.

import type { MachineView } from '../../identity/login-api.ts'
import { h, icon, mark, type IconName } from './dom.ts'
import { words } from './words.ts'

export interface Heading {
  readonly title: string
  readonly lines?: readonly string[]
}

export function column(heading: Heading, ...children: readonly (Node | undefined | false)[]): HTMLElement {
  return h(
    'div',
    { class: 'column' },
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
  return { input, element: field(id, wish, h('div', { class: 'input' }, input)) }
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
  return { input, element: field(id, wish, h('div', { class: 'input' }, input, eye)) }
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

function sourceText(source: string): string {
  if (source.startsWith('127.') || source === '::/64') return words.machine.thisComputer
  if (/^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|169\.254\.|fe80:|f[cd])/i.test(source))
    return words.machine.near(source)
  return source
}

function askedText(secondsAgo: number): string {
  const minutes = Math.floor(secondsAgo / 60)
  return minutes === 0 ? words.machine.now : words.machine.minutesAgo(minutes)
}
