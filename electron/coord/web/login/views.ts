// The pages, one function each. A page that ends hands on to the next by `go`.

import type { AccountView, MachineView, PageState, Stage } from '../../identity/login-api.ts'
import { Refusal, type Api } from './api.ts'
import { h } from './dom.ts'
import {
  column,
  foot,
  link,
  machineFacts,
  nameField,
  note,
  passwordField,
  primary,
  Trouble,
  wayRow,
  type Field,
} from './parts.ts'
import { askPasskey, createPasskey, passkeyName, withoutPasskeys } from './passkey.ts'
import { words } from './words.ts'

const MIN_PASSWORD_CHARS = 10

export interface Page {
  readonly title: string
  readonly element: HTMLElement
  /** What the keyboard is at first; the heading when left out. */
  readonly focus?: HTMLElement
}

/** What every page is given: the server, what it said, and the way to the next page. */
export interface Setting {
  readonly api: Api
  readonly state: PageState
  readonly login: string
  readonly enrol: string
  go(next: Page): void
  /** Asks the server where things stand, and shows that. */
  reload(): Promise<void>
}

export function pageFor(setting: Setting, stage: Stage): Page {
  switch (stage.kind) {
    case 'first':
      return firstPage(setting, stage.machine)
    case 'sign-in':
      return signInPage(setting, stage.machine)
    case 'no-way-in':
      return noWayInPage(setting)
    case 'approve':
      return approvePage(setting, stage.machine, stage.account)
    case 'enrol':
      return enrolPage(setting, stage.account, stage.replaces)
    case 'login-over':
      return endPage(words.end.loginOver, words.end.loginOverText)
    case 'link-over':
      break
  }
  return endPage(words.end.linkOver, words.end.linkOverText)
}

function signInPage(setting: Setting, machine: MachineView): Page {
  const { api, state, login } = setting
  const noPasskeys = withoutPasskeys(state)
  const why = machine.name === '' ? words.signIn.whyUnnamed : words.signIn.why(machine.name)
  const heading = { title: words.signIn.title, lines: [state.host, why] }
  const trouble = new Trouble()
  const done = ({ account }: { account: AccountView }): void => setting.go(approvePage(setting, machine, account))
  const lost = lostParts()

  const withPassword = (): Page => {
    const name = nameField({ label: words.fields.name, autocomplete: 'username' })
    const password = passwordField({ label: words.fields.password, autocomplete: 'current-password' })
    const form = formOf(trouble, [name, password], primary(words.signIn.signIn, undefined), async () => {
      const problem = missing(name) ?? missing(password)
      if (problem !== undefined) return trouble.say(problem)
      done(await api.call('sign-in/password', { login, name: name.input.value.trim(), password: password.input.value }))
    })
    const element = column(
      heading,
      h('div', { class: 'gap-4' }, warnings(state, noPasskeys, true), form),
      trouble.element,
      h(
        'div',
        { class: 'links gap-2' },
        noPasskeys === undefined && link(words.signIn.otherWay, () => setting.go(withPasskey())),
        lost.button,
      ),
      lost.text,
      foot(),
    )
    return { title: heading.title, element, focus: name.input }
  }

  const withPasskey = (): Page => {
    const button = primary(words.signIn.usePasskey, 'fingerprint', () => {
      void attempt(trouble, button, async () => {
        const { ceremony, options } = await api.call('sign-in/begin', { login })
        const response = await askPasskey({ optionsJSON: options })
        done(await api.call('sign-in/passkey', { ceremony, response }))
      })
    })
    const element = column(
      heading,
      h('div', { class: 'gap-4' }, button),
      trouble.element,
      wayRow('user', words.signIn.nameAndPassword, () => setting.go(withPassword())),
      h('div', { class: 'links gap-2' }, lost.button),
      lost.text,
      foot(),
    )
    return { title: heading.title, element, focus: button }
  }

  return noPasskeys === undefined ? withPasskey() : withPassword()
}

function firstPage(setting: Setting, machine: MachineView): Page {
  const { api, state, login } = setting
  const noPasskeys = withoutPasskeys(state)
  const why = machine.name === '' ? words.first.whyUnnamed : words.first.why(machine.name)
  const heading = { title: words.first.title, lines: [state.host, `${why} ${words.first.text}`] }
  const done = ({ account }: { account: AccountView }): void => setting.go(approvePage(setting, machine, account))

  const page = (hasPassword: boolean, typed: string): Page => {
    const trouble = new Trouble()
    const name = nameField({
      label: words.fields.name,
      autocomplete: 'username',
      hint: words.first.nameHint,
      value: typed,
    })
    const password = hasPassword ? newPasswordField() : undefined
    const button = hasPassword
      ? primary(words.first.createWithPassword, undefined)
      : primary(words.first.createWithPasskey, 'fingerprint', () => form.requestSubmit())
    const form = formOf(trouble, password ? [name, password] : [name], button, async () => {
      const problem = missing(name) ?? (password && tooShort(password))
      if (problem !== undefined) return trouble.say(problem)
      const wanted = name.input.value.trim()
      if (password)
        return done(await api.call('first/password', { login, name: wanted, password: password.input.value }))
      const { ceremony, options } = await api.call('first/begin', { login, name: wanted })
      const response = await createPasskey({ optionsJSON: options })
      done(await api.call('first/passkey', { login, ceremony, response, passkeyName: passkeyName() }))
    })
    const other = hasPassword ? words.first.passkeyInstead : words.first.passwordInstead
    const element = column(
      heading,
      h('div', { class: 'gap-4' }, warnings(state, noPasskeys, hasPassword), form),
      trouble.element,
      noPasskeys === undefined &&
        wayRow(hasPassword ? 'fingerprint' : 'user', other, () => setting.go(page(!hasPassword, name.input.value))),
      foot(),
    )
    return { title: heading.title, element, focus: name.input }
  }
  return page(noPasskeys !== undefined, '')
}

function noWayInPage(setting: Setting): Page {
  const title = words.noWayIn.title
  const button = primary(words.noWayIn.retry, undefined, () => void setting.reload())
  const element = column(
    { title, lines: [setting.state.host] },
    h('div', { class: 'gap-4' }, note('', words.noWayIn.text, words.noWayIn.command)),
    h('div', { class: 'gap-3' }, button),
  )
  return { title, element }
}

function approvePage(setting: Setting, machine: MachineView, account: AccountView): Page {
  const { api, login } = setting
  const trouble = new Trouble()
  const title = machine.name === '' ? words.approve.unnamed : words.approve.title(machine.name)
  const machineName = machine.name || words.end.unnamed
  const decide = (button: HTMLElement, call: 'approve' | 'refuse', next: () => Page): void =>
    void attempt(
      trouble,
      button,
      async () => {
        await api.call(call, { login })
        setting.go(next())
      },
      { 'login/not-signed-in': () => setting.reload(), 'login/over': () => setting.reload() },
    )
  const refuse = h(
    'button',
    {
      class: 'btn danger',
      type: 'button',
      on: {
        click: () => decide(refuse, 'refuse', () => endPage(words.end.refused, words.end.refusedText(machineName))),
      },
    },
    words.approve.refuse,
  )
  const letIn = h(
    'button',
    {
      class: 'btn primary',
      type: 'button',
      on: {
        click: () => decide(letIn, 'approve', () => endPage(words.end.letIn(machineName), words.end.letInText)),
      },
    },
    words.approve.letIn,
  )
  const another = link(words.approve.another, () => {
    void attempt(trouble, another, async () => {
      await api.call('sign-out', {})
      await setting.reload()
    })
  })
  const element = column(
    { title, lines: [setting.state.host, words.approve.text] },
    h('div', { class: 'gap-3' }, machineFacts(machine)),
    h('div', { class: 'btns gap-3' }, refuse, letIn),
    trouble.element,
    h('div', { class: 'links gap-2' }, h('span', { class: 'under' }, words.approve.account(whole(account))), another),
  )
  // Trust is at stake: the safe choice comes first.
  return { title, element, focus: refuse }
}

function enrolPage(setting: Setting, account: AccountView, replaces: boolean): Page {
  const { api, state, enrol } = setting
  const noPasskeys = withoutPasskeys(state)
  const lines = [state.host, words.enrol.text(whole(account)), ...(replaces ? [words.enrol.replaces] : [])]
  const heading = { title: words.enrol.title, lines }
  const done = ({ account }: { account: AccountView }): void =>
    setting.go(endPage(words.end.enrolled, words.end.enrolledText(whole(account))))
  const whenOver = { 'login/link-over': () => setting.reload() }

  const withPassword = (): Page => {
    const trouble = new Trouble()
    const name = nameField({ label: words.fields.name, autocomplete: 'username', value: account.name })
    name.input.readOnly = true
    const password = newPasswordField()
    const form = formOf(
      trouble,
      [name, password],
      primary(words.enrol.setPassword, undefined),
      async () => {
        const problem = tooShort(password)
        if (problem !== undefined) return trouble.say(problem)
        done(await api.call('enrol/password', { enrol, password: password.input.value }))
      },
      whenOver,
    )
    const element = column(
      heading,
      h('div', { class: 'gap-4' }, warnings(state, noPasskeys, true), form),
      trouble.element,
      noPasskeys === undefined && wayRow('fingerprint', words.enrol.passkeyInstead, () => setting.go(withPasskey())),
      foot(),
    )
    return { title: heading.title, element, focus: password.input }
  }

  const withPasskey = (): Page => {
    const trouble = new Trouble()
    const button = primary(words.enrol.createPasskey, 'fingerprint', () => {
      void attempt(
        trouble,
        button,
        async () => {
          const { ceremony, options } = await api.call('enrol/begin', { enrol })
          const response = await createPasskey({ optionsJSON: options })
          done(await api.call('enrol/passkey', { enrol, ceremony, response, passkeyName: passkeyName() }))
        },
        whenOver,
      )
    })
    const element = column(
      heading,
      h('div', { class: 'gap-4' }, button),
      trouble.element,
      wayRow('user', words.enrol.passwordInstead, () => setting.go(withPassword())),
      foot(),
    )
    return { title: heading.title, element, focus: button }
  }
  return noPasskeys === undefined ? withPasskey() : withPassword()
}

export function endPage(title: string, text: string): Page {
  return { title, element: column({ title, lines: [text] }) }
}

/** What to know before typing; nothing where all is well. */
function warnings(state: PageState, noPasskeys: string | undefined, hasPassword: boolean): HTMLElement | undefined {
  const notes = [
    noPasskeys !== undefined && note('', noPasskeys),
    state.isReadable && hasPassword && note('warn', words.readable),
  ].filter((one) => one !== false)
  return notes.length > 0 ? h('div', { class: 'notes' }, ...notes) : undefined
}

function lostParts(): { readonly button: HTMLElement; readonly text: HTMLElement } {
  const text = h(
    'div',
    { class: 'gap-2', id: 'lost', hidden: true },
    note('', words.signIn.lostText, words.signIn.lostCommand),
  )
  const button = link(
    words.signIn.lost,
    () => {
      text.hidden = !text.hidden
      button.setAttribute('aria-expanded', String(!text.hidden))
    },
    { 'aria-expanded': 'false', 'aria-controls': 'lost' },
  )
  return { button, text }
}

function formOf(
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

type After = Readonly<Record<string, () => Promise<void>>>

/** One try at a time; what went wrong is said beside the button, or leads elsewhere by its code. */
async function attempt(
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

const newPasswordField = (): Field =>
  passwordField({
    label: words.fields.newPassword,
    autocomplete: 'new-password',
    hint: words.fields.newPasswordHint,
  })

function missing(field: Field): string | undefined {
  const isName = field.input.name === 'username'
  if ((isName ? field.input.value.trim() : field.input.value) !== '') return undefined
  return marked(field, isName ? words.fields.nameMissing : words.fields.passwordMissing)
}

/** The server has the last word; this one needs no way there and back. */
function tooShort(field: Field): string | undefined {
  if (Array.from(field.input.value).length >= MIN_PASSWORD_CHARS) return undefined
  return marked(field, words.fields.passwordShort)
}

function marked(field: Field, problem: string): string {
  field.input.setAttribute('aria-invalid', 'true')
  field.input.focus()
  return problem
}

const whole = ({ name, displayName }: AccountView): string => (displayName === name ? name : `${displayName} (${name})`)
