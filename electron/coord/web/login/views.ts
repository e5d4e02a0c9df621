// The pages, one function each. A page that ends hands on to the next by `go`.

import type { AccountView, MachineView, RecoveryView, Stage } from '../../identity/login-api.ts'
import { accountView, recoveryNotes } from './account.ts'
import { h } from './dom.ts'
import { appCodeField, attempt, formOf, marked, missing, newPasswordField, tooShort, warnings } from './forms.ts'
import {
  codeField,
  column,
  endPage,
  foot,
  link,
  machineFacts,
  nameField,
  note,
  passwordField,
  primary,
  Trouble,
  wayRow,
  whole,
} from './parts.ts'
import type { Page, Setting } from './page.ts'
import { providerRows } from './elsewhere.ts'
import { askPasskey, createPasskey, passkeyName, withoutPasskeys } from './passkey.ts'
import { words } from './words.ts'

export function pageFor(setting: Setting, stage: Stage): Page {
  switch (stage.kind) {
    case 'first':
      return firstPage(setting, stage.machine)
    case 'sign-in':
      return signInPage(setting, stage.machine, stage.formerHosts)
    case 'no-way-in':
      return noWayInPage(setting)
    case 'approve':
      return approvePage(setting, stage.machine, stage.account, stage.recoveries)
    case 'account':
      return accountView(setting, stage.page)
    case 'enrol':
      return enrolPage(setting, stage.account, stage.replaces)
    case 'login-over':
      return endPage(words.end.loginOver, words.end.loginOverText)
    case 'link-over':
      break
  }
  return endPage(words.end.linkOver, words.end.linkOverText)
}

function signInPage(setting: Setting, machine: MachineView | undefined, formerHosts: readonly string[]): Page {
  const { api, state, login } = setting
  const noPasskeys = withoutPasskeys(state)
  const heading = { title: words.signIn.title, lines: [state.host, whyOf(machine, words.signIn)] }
  const done = (): Promise<void> => setting.reload()
  const lost = lostParts()
  const ways = (here: 'password' | 'passkey' | 'recovery'): HTMLElement =>
    h(
      'div',
      { class: 'links gap-2' },
      here !== 'passkey' && noPasskeys === undefined && link(words.signIn.otherWay, () => setting.go(withPasskey())),
      here !== 'recovery' && link(words.signIn.recovery, () => setting.go(withRecoveryCode())),
      lost.button,
    )

  const elsewhere = (trouble: Trouble): HTMLElement[] => providerRows(setting, 'sign-in', trouble)

  const withPassword = (): Page => {
    const trouble = new Trouble()
    const name = nameField({ label: words.fields.name, autocomplete: 'username' })
    const password = passwordField({ label: words.fields.password, autocomplete: 'current-password' })
    const typed = (): { name: string; password: string } => ({
      name: name.input.value.trim(),
      password: password.input.value,
    })
    const form = formOf(
      trouble,
      [name, password],
      primary(words.signIn.signIn, undefined),
      async () => {
        const problem = missing(name) ?? missing(password)
        if (problem !== undefined) return trouble.say(problem)
        await api.call('sign-in/password', { login, ...typed(), code: undefined })
        await done()
      },
      { 'login/code-needed': async () => setting.go(withCode(typed())) },
    )
    const element = column(
      heading,
      h('div', { class: 'gap-4' }, warnings(state, noPasskeys, true), form),
      trouble.element,
      ...elsewhere(trouble),
      ways('password'),
      lost.text,
      foot(),
    )
    return { title: heading.title, element, focus: name.input }
  }

  const withCode = (typed: { readonly name: string; readonly password: string }): Page => {
    const trouble = new Trouble()
    const code = appCodeField()
    const form = formOf(trouble, [code], primary(words.signIn.signIn, undefined), async () => {
      const problem = missing(code)
      if (problem !== undefined) return trouble.say(problem)
      await api.call('sign-in/password', { login, ...typed, code: code.input.value })
      await done()
    })
    const title = words.signIn.code
    const element = column(
      { title, lines: [state.host, words.signIn.codeText] },
      h('div', { class: 'gap-4' }, form),
      trouble.element,
      ways('password'),
      lost.text,
    )
    return { title, element, focus: code.input }
  }

  const withRecoveryCode = (): Page => {
    const trouble = new Trouble()
    const name = nameField({ label: words.fields.name, autocomplete: 'username' })
    const code = codeField('code', {
      label: words.fields.recoveryCode,
      hint: words.fields.recoveryCodeHint,
      autocomplete: 'off',
    })
    const form = formOf(trouble, [name, code], primary(words.signIn.signIn, undefined), async () => {
      const problem = missing(name) ?? missing(code)
      if (problem !== undefined) return trouble.say(problem)
      await api.call('sign-in/recovery-code', { login, name: name.input.value.trim(), code: code.input.value })
      await done()
    })
    const element = column(
      heading,
      h('div', { class: 'gap-4' }, warnings(state, undefined, true), form),
      trouble.element,
      wayRow('user', words.signIn.nameAndPassword, () => setting.go(withPassword())),
      ways('recovery'),
      lost.text,
    )
    return { title: heading.title, element, focus: name.input }
  }

  const withPasskey = (): Page => {
    const trouble = new Trouble()
    const button = primary(words.signIn.usePasskey, 'fingerprint', () => {
      void attempt(trouble, button, async () => {
        const { ceremony, options } = await api.call('sign-in/begin', { login })
        const response = await askPasskey({ optionsJSON: options })
        await api.call('sign-in/passkey', { ceremony, response })
        await done()
      })
    })
    const element = column(
      heading,
      formerHosts.length > 0 &&
        h('div', { class: 'gap-4' }, note('warn', words.signIn.formerHost(formerHosts.join(', '), state.host))),
      h('div', { class: 'gap-4' }, button),
      trouble.element,
      wayRow('user', words.signIn.nameAndPassword, () => setting.go(withPassword())),
      ...elsewhere(trouble),
      ways('passkey'),
      lost.text,
      foot(),
    )
    return { title: heading.title, element, focus: button }
  }

  return noPasskeys === undefined ? withPasskey() : withPassword()
}

function whyOf(
  machine: MachineView | undefined,
  { why, whyUnnamed, ...rest }: typeof words.signIn | typeof words.first,
): string {
  if (!machine) return 'accountWhy' in rest ? rest.accountWhy : rest.whyEmpty
  return machine.name === '' ? whyUnnamed : why(machine.name)
}

function firstPage(setting: Setting, machine: MachineView | undefined): Page {
  const { api, state, login } = setting
  const noPasskeys = withoutPasskeys(state)
  const heading = {
    title: words.first.title,
    lines: [state.host, `${whyOf(machine, words.first)} ${words.first.text}`],
  }

  const page = (hasPassword: boolean, typed: { readonly name: string; readonly setupCode: string }): Page => {
    const trouble = new Trouble()
    const setupCode = codeField('setupCode', {
      label: words.fields.setupCode,
      autocomplete: 'off',
      hint: words.fields.setupCodeHint,
      value: typed.setupCode,
    })
    const name = nameField({
      label: words.fields.name,
      autocomplete: 'username',
      hint: words.first.nameHint,
      value: typed.name,
    })
    const password = hasPassword ? newPasswordField() : undefined
    const button = hasPassword
      ? primary(words.first.createWithPassword, undefined)
      : primary(words.first.createWithPasskey, 'fingerprint', () => form.requestSubmit())
    const fields = [setupCode, name, ...(password ? [password] : [])]
    const form = formOf(
      trouble,
      fields,
      button,
      async () => {
        const problem = missing(setupCode) ?? missing(name) ?? (password && tooShort(password))
        if (problem !== undefined) return trouble.say(problem)
        const wish = { login, setupCode: setupCode.input.value, name: name.input.value.trim() }
        if (password) await api.call('first/password', { ...wish, password: password.input.value })
        else {
          const { ceremony, options } = await api.call('first/begin', wish)
          const response = await createPasskey({ optionsJSON: options })
          await api.call('first/passkey', { login, ceremony, response, passkeyName: passkeyName() })
        }
        await setting.reload()
      },
      {
        'login/wrong-setup-code': async () => trouble.say(marked(setupCode, words.fields.wrongSetupCode)),
      },
    )
    const other = hasPassword ? words.first.passkeyInstead : words.first.passwordInstead
    const element = column(
      heading,
      h('div', { class: 'gap-4' }, warnings(state, noPasskeys, hasPassword), form),
      trouble.element,
      noPasskeys === undefined &&
        wayRow(hasPassword ? 'fingerprint' : 'user', other, () =>
          setting.go(page(!hasPassword, { name: name.input.value, setupCode: setupCode.input.value })),
        ),
      foot(),
    )
    return { title: heading.title, element, focus: setupCode.input.value === '' ? setupCode.input : name.input }
  }
  return page(noPasskeys !== undefined, { name: '', setupCode: setting.setupCode })
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

function approvePage(
  setting: Setting,
  machine: MachineView,
  account: AccountView,
  recoveries: readonly RecoveryView[],
): Page {
  const { api } = setting
  const login = setting.login ?? ''
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
        click: () => decide(letIn, 'approve', () => endPage(words.end.letIn(machineName), words.end.letInText, true)),
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
    recoveryNotes(setting, trouble, recoveries),
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
      ...providerRows(setting, 'enrol', trouble),
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
      ...providerRows(setting, 'enrol', trouble),
      foot(),
    )
    return { title: heading.title, element, focus: button }
  }
  return noPasskeys === undefined ? withPasskey() : withPassword()
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
