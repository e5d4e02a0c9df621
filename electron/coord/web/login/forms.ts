// Forms of the pages: what is checked before the server is asked, one try at a time, and where trouble is said.

import type { PageState } from '../../identity/login-api.ts'
import { Refusal } from './api.ts'
import { h } from './dom.ts'
import { codeField, note, passwordField, type Field, type Trouble } from './parts.ts'
import { words } from './words.ts'

const MIN_PASSWORD_CHARS = 15

export function formOf(
  trouble: Trouble,
  fields: readonly Field[],
  button: HTMLButtonElement,
  submit: () => Promise<void>,
  after: After = {},
): HTMLFormElement {
  const form = h('form', { novalidate: true }, ...fields.map(({ element }) => element), button)
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    for (const { input } of fields) input.removeAttribute('aria-invalid')
    void attempt(trouble, button, submit, after)
  })
  return form
}

export type After = Readonly<Record<string, () => Promise<void>>>

/** One try at a time; what went wrong is said beside the button, or leads elsewhere by its code. */
export async function attempt(
  trouble: Trouble,
  button: HTMLElement,
  work: () => Promise<void>,
  after: After = {},
): Promise<void> {
  if (button.getAttribute('aria-disabled') === 'true') return
  button.setAttribute('aria-disabled', 'true')
  trouble.clear()
  try {
    await work()
  } catch (error) {
    const elsewhere = error instanceof Refusal ? after[error.code] : undefined
    if (elsewhere) await elsewhere().catch(() => trouble.say(words.trouble.unreachable))
    else trouble.say(error instanceof Refusal ? error.message : words.trouble.unreadable)
  } finally {
    button.removeAttribute('aria-disabled')
  }
}

export const newPasswordField = (): Field =>
  passwordField({
    label: words.fields.newPassword,
    autocomplete: 'new-password',
    hint: words.fields.newPasswordHint,
  })

export function missing(field: Field): string | undefined {
  if (field.input.value.trim() !== '') return undefined
  return marked(field, words.fields.missing[field.kind])
}

/** The server has the last word; this one needs no way there and back. */
export function tooShort(field: Field): string | undefined {
  if (Array.from(field.input.value).length >= MIN_PASSWORD_CHARS) return undefined
  return marked(field, words.fields.passwordShort)
}

export function marked(field: Field, problem: string): string {
  field.input.setAttribute('aria-invalid', 'true')
  field.input.focus()
  return problem
}

export const appCodeField = (): Field =>
  codeField('code', {
    label: words.fields.appCode,
    hint: words.fields.appCodeHint,
    autocomplete: 'one-time-code',
    isDigits: true,
  })

/** What to know before typing; nothing where all is well. */
export function warnings(
  state: PageState,
  noPasskeys: string | undefined,
  hasPassword: boolean,
): HTMLElement | undefined {
  const notes = [
    noPasskeys !== undefined && note('', noPasskeys),
    state.isReadable && hasPassword && note('warn', words.readable),
  ].filter((one) => one !== false)
  return notes.length > 0 ? h('div', { class: 'notes' }, ...notes) : undefined
}
