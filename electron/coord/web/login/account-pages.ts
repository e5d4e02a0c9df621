// The pages behind the account page: each changes one thing and leads back.

import type { AccountPage, PasskeyView, PersonView, RecoveryView } from '../../identity/login-api.ts'
import { h, icon, qrDrawing } from './dom.ts'
import { providerRows } from './elsewhere.ts'
import { appCodeField, attempt, formOf, missing, newPasswordField, tooShort, warnings } from './forms.ts'
import type { Page, Setting } from './page.ts'
import { column, copyable, link, nameField, passwordField, primary, Trouble, wayRow, whole } from './parts.ts'
import { askPasskey, createPasskey, passkeyName, withoutPasskeys } from './passkey.ts'
import { qrCode } from '../../../base/qr-code.ts'
import { timeText } from './times.ts'
import { words } from './words.ts'

const text = words.account
/** So that typing a password or scanning a code fits in before the proof is too old. */
const MARGIN_MS = 60_000

/** Opens a page for which the sign-in must be of the last minutes; asks for it first where it is not. */
export function sensitive(setting: Setting, page: AccountPage, open: (page: AccountPage) => Page): void {
  const leftMs = page.freshUntilMs - page.nowMs - (performance.now() - setting.loadedAtMs)
  if (leftMs > MARGIN_MS) setting.go(open(page))
  else setting.go(provePage(setting, page, open))
}

export function provePage(
  setting: Setting,
  page: AccountPage,
  /** Where it leads; the account when left out. */
  open: ((page: AccountPage) => Page) | undefined,
  /** Of this server's own; otherwise a provider will do too. */
  isOwnOnly = false,
): Page {
  const { api, state } = setting
  const elsewhere = (trouble: Trouble): HTMLElement[] =>
    isOwnOnly
      ? []
      : providerRows(setting, 'prove', trouble, (name) => page.elsewhere.some((one) => one.provider === name))
  const noPasskeys = withoutPasskeys(state)
  const canPasskey = noPasskeys === undefined && page.passkeys.some(({ host }) => host === state.host)
  const heading = { title: text.prove, lines: [state.host, text.proveText] }
  /** With the new session, and what it may. */
  const done = async (): Promise<void> => {
    const fresh = open && (await setting.renewed())
    if (open && fresh) setting.go(open(fresh))
    else await setting.reload()
  }

  const withPassword = (hasCode: boolean): Page => {
    const trouble = new Trouble()
    const name = nameField({ label: words.fields.name, autocomplete: 'username', value: page.account.name })
    name.input.readOnly = true
    const password = passwordField({ label: words.fields.password, autocomplete: 'current-password' })
    const code = hasCode ? appCodeField() : undefined
    const form = formOf(
      trouble,
      [name, password, ...(code ? [code] : [])],
      primary(text.provePassword, undefined),
      async () => {
        const problem = missing(password) ?? (code && missing(code))
        if (problem !== undefined) return trouble.say(problem)
        const typed = { password: password.input.value, code: code?.input.value }
        await api.call('account/prove/password', typed)
        await done()
      },
      { 'login/code-needed': async () => setting.go(withPassword(true)) },
    )
    const element = column(
      heading,
      h('div', { class: 'gap-4' }, warnings(state, undefined, true), form),
      trouble.element,
      canPasskey && wayRow('fingerprint', words.signIn.otherWay, () => setting.go(withPasskey())),
      ...elsewhere(trouble),
      back(setting),
    )
    return { title: heading.title, element, focus: password.input }
  }

  const withPasskey = (): Page => {
    const trouble = new Trouble()
    const button = primary(words.signIn.usePasskey, 'fingerprint', () => {
      void attempt(trouble, button, async () => {
        const { ceremony, options } = await api.call('account/prove/begin', {})
        const response = await askPasskey({ optionsJSON: options })
        await api.call('account/prove/passkey', { ceremony, response })
        await done()
      })
    })
    const element = column(
      heading,
      h('div', { class: 'gap-4' }, button),
      trouble.element,
      page.password &&
        wayRow('user', text.proveWithPassword, () => setting.go(withPassword(page.totpSinceMs !== undefined))),
      ...elsewhere(trouble),
      back(setting),
    )
    return { title: heading.title, element, focus: button }
  }
  // Who came by a recovery code may have neither: signing in anew is the way then.
  if (!canPasskey && !page.password) {
    const trouble = new Trouble()
    const rows = elsewhere(trouble)
    if (rows.length === 0) return removePage(setting, signInAnew(setting))
    const lines = [state.host, text.proveText, words.elsewhere.proveText]
    return {
      title: heading.title,
      element: column({ title: heading.title, lines }, ...rows, trouble.element, back(setting)),
    }
  }
  return canPasskey ? withPasskey() : withPassword(page.totpSinceMs !== undefined)
}

const signInAnew = (setting: Setting): Removal => ({
  title: text.prove,
  text: text.proveAnew,
  verb: text.signOut,
  remove: () => setting.api.call('sign-out', {}),
})

export function addPasskeyPage(setting: Setting, page: AccountPage): Page {
  const { api } = setting
  const trouble = new Trouble()
  const button = primary(text.createPasskey, 'fingerprint', () => {
    void attempt(
      trouble,
      button,
      async () => {
        const { ceremony, options } = await api.call('account/passkey/begin', {})
        const response = await createPasskey({ optionsJSON: options })
        await api.call('account/passkey/add', { ceremony, response, passkeyName: passkeyName() })
        await setting.reload()
      },
      again(setting, page, (page) => addPasskeyPage(setting, page)),
    )
  })
  const title = text.addPasskey
  const element = column(
    { title, lines: [setting.state.host, text.addPasskeyText] },
    h('div', { class: 'gap-4' }, button),
    trouble.element,
    back(setting),
  )
  return { title, element, focus: button }
}

export function renamePage(setting: Setting, passkey: PasskeyView): Page {
  const trouble = new Trouble()
  const name = nameField({ label: text.passkeyNameLabel, autocomplete: 'off', value: passkey.name })
  const form = formOf(trouble, [name], primary(text.saveName, undefined), async () => {
    const problem = missing(name)
    if (problem !== undefined) return trouble.say(problem)
    await setting.api.call('account/passkey/rename', { id: passkey.id, name: name.input.value.trim() })
    await setting.reload()
  })
  const title = text.renamePasskey
  const element = column({ title }, h('div', { class: 'gap-4' }, form), trouble.element, back(setting))
  return { title, element, focus: name.input }
}

export function passwordPage(setting: Setting, page: AccountPage): Page {
  const trouble = new Trouble()
  const name = nameField({ label: words.fields.name, autocomplete: 'username', value: page.account.name })
  name.input.readOnly = true
  const password = newPasswordField()
  const title = page.password ? text.changePassword : text.setPassword
  const form = formOf(
    trouble,
    [name, password],
    primary(text.savePassword, undefined),
    async () => {
      const problem = tooShort(password)
      if (problem !== undefined) return trouble.say(problem)
      await setting.api.call('account/password/set', { password: password.input.value })
      await setting.reload()
    },
    again(setting, page, (page) => passwordPage(setting, page)),
  )
  const element = column(
    { title, lines: [setting.state.host, text.passwordEnds] },
    h('div', { class: 'gap-4' }, warnings(setting.state, undefined, true), form),
    trouble.element,
    back(setting),
  )
  return { title, element, focus: password.input }
}

/** Asks the server for a key first; until that is there the page says what it is about. */
export function totpPage(setting: Setting, page: AccountPage): Page {
  const { api } = setting
  const title = text.totpTitle
  const trouble = new Trouble()
  const place = h('div', { class: 'gap-4' })
  const begin = h('button', { type: 'button', hidden: true })
  void attempt(
    trouble,
    begin,
    async () => {
      const { secret, uri, pending } = await api.call('account/totp/begin', {})
      const code = appCodeField()
      const form = formOf(
        trouble,
        [code],
        primary(text.totpConfirm, undefined),
        async () => {
          const problem = missing(code)
          if (problem !== undefined) return trouble.say(problem)
          await api.call('account/totp/confirm', { pending, code: code.input.value })
          await setting.reload()
        },
        again(setting, page, (page) => totpPage(setting, page)),
      )
      const modules = qrCode(uri)
      const spaced = secret.replaceAll(/(.{4})(?=.)/g, '$1 ')
      place.replaceChildren(
        ...(modules ? [qrDrawing(modules, text.qrLabel)] : []),
        h('p', { class: 'hint' }, text.totpTyped),
        copyable(spaced, text.copySecret),
        h('div', { class: 'gap-3' }, form),
      )
      code.input.focus()
    },
    again(setting, page, (page) => totpPage(setting, page)),
  )
  const lines = [setting.state.host, text.totpText]
  return { title, element: column({ title, lines }, place, trouble.element, back(setting)) }
}

export function makeCodesPage(setting: Setting, page: AccountPage): Page {
  const make = async (): Promise<null> => {
    const { codes } = await setting.api.call('account/recovery-codes/make', {})
    setting.go(codesPage(setting, codes, page.recoveryCodes !== undefined))
    return null
  }
  return removePage(setting, {
    title: page.recoveryCodes ? text.codesAsk : text.recoveryCodes,
    text: page.recoveryCodes ? text.codesAskText : text.noCodes,
    verb: text.makeCodes,
    isSafe: true,
    remove: make,
    leads: 'elsewhere',
  })
}

function codesPage(setting: Setting, codes: readonly string[], areOthersVoid: boolean): Page {
  const title = text.codesTitle
  const print = h(
    'button',
    { class: 'btn', type: 'button', on: { click: () => window.print() } },
    icon('printer'),
    text.printCodes,
  )
  const kept = primary(text.codesKept, undefined, () => void setting.reload())
  const lines = [setting.state.host, text.codesText, ...(areOthersVoid ? [text.codesVoid] : [])]
  const element = column(
    { title, lines },
    h('ol', { class: 'card codes gap-4', role: 'list' }, ...codes.map((code) => h('li', {}, code))),
    h('div', { class: 'btns gap-2' }, copyButton(codes.join('\n'), text.copyCodes), print),
    h('div', { class: 'gap-3' }, kept),
  )
  return { title, element }
}

function copyButton(what: string, label: string): HTMLElement {
  const button = h('button', { class: 'btn', type: 'button' }, icon('copy'), label)
  if (!('clipboard' in navigator)) button.hidden = true
  button.addEventListener('click', () => {
    navigator.clipboard.writeText(what).then(
      () => button.replaceChildren(icon('check'), text.copied),
      () => undefined,
    )
  })
  return button
}

export function invitePage(setting: Setting, page: AccountPage): Page {
  const trouble = new Trouble()
  const name = nameField({ label: words.fields.name, autocomplete: 'off', hint: words.first.nameHint })
  const roles = ROLES.filter((role) => page.mayInvite.includes(role))
  const role = h('select', { id: 'role' }, ...roles.map((role) => h('option', { value: role }, text.roles[role])))
  const roleField = h(
    'div',
    { class: 'field' },
    h('label', { for: 'role' }, text.inviteRole),
    h('div', { class: 'input' }, role),
  )
  const form = formOf(
    trouble,
    [name],
    primary(text.inviteDo, undefined),
    async () => {
      const problem = missing(name)
      if (problem !== undefined) return trouble.say(problem)
      const who = name.input.value.trim()
      const chosen = roles.find((one) => one === role.value) ?? 'member'
      const { url, expiresAtMs } = await setting.api.call('account/invite', { name: who, role: chosen })
      setting.go(linkPage(setting, text.inviteTitle(who), url, timeText(expiresAtMs, page.nowMs)))
    },
    again(setting, page, (page) => invitePage(setting, page)),
  )
  name.element.after(roleField)
  const title = text.invite
  const lines = [setting.state.host, text.inviteText]
  const element = column({ title, lines }, h('div', { class: 'gap-4' }, form), trouble.element, back(setting))
  return { title, element, focus: name.input }
}

/** In the order of how often they are given. */
const ROLES = ['member', 'admin', 'auditor', 'owner'] as const

function linkPage(setting: Setting, title: string, url: string, until: string): Page {
  const modules = qrCode(url)
  const element = column(
    { title, lines: [text.linkText(until)] },
    h(
      'div',
      { class: 'gap-4' },
      modules && qrDrawing(modules, text.inviteQr),
      h('div', { class: 'gap-2' }, copyable(url, text.copyLink)),
    ),
    back(setting),
  )
  return { title, element }
}

export function personLinkPage(setting: Setting, page: AccountPage, person: PersonView, recovery: RecoveryView): Page {
  const make = async (): Promise<null> => {
    const { url, expiresAtMs } = await setting.api.call('account/recovery/link', { id: recovery.id })
    setting.go(linkPage(setting, text.linkTitle(whole(person)), url, timeText(expiresAtMs, page.nowMs)))
    return null
  }
  return removePage(setting, {
    title: text.linkTitle(whole(person)),
    text: text.letInLinkText(person.name),
    verb: text.makeLink,
    isSafe: true,
    remove: make,
    leads: 'elsewhere',
  })
}

export interface Removal {
  readonly title: string
  readonly text: string
  readonly verb: string
  readonly remove: () => Promise<null>
  /** Takes nothing away: the verb is the main thing to do. */
  readonly isSafe?: boolean
  readonly leads?: 'back' | 'elsewhere'
}

/** Says what follows before it is done. The choice that changes nothing comes first. */
export function removePage(setting: Setting, { title, text: lines, verb, remove, isSafe, leads }: Removal): Page {
  const trouble = new Trouble()
  const leave = h('button', { class: 'btn', type: 'button', on: { click: () => void setting.reload() } }, text.leave)
  const go = h(
    'button',
    {
      class: isSafe === true ? 'btn primary' : 'btn danger',
      type: 'button',
      on: {
        click: () =>
          void attempt(
            trouble,
            go,
            async () => {
              await remove()
              if (leads !== 'elsewhere') await setting.reload()
            },
            { 'login/prove-again': () => setting.reload(), 'login/not-signed-in': () => setting.reload() },
          ),
      },
    },
    verb,
  )
  const element = column(
    { title, lines: [setting.state.host, lines] },
    h('div', { class: 'btns gap-4' }, leave, go),
    trouble.element,
  )
  return { title, element, focus: isSafe === true ? go : leave }
}

/** The proof grew too old while the page stood open. */
function again(
  setting: Setting,
  page: AccountPage,
  open: (page: AccountPage) => Page,
): Readonly<Record<string, () => Promise<void>>> {
  return {
    'login/prove-again': async () => setting.go(provePage(setting, page, open)),
    'login/not-signed-in': () => setting.reload(),
  }
}

const back = (setting: Setting): HTMLElement =>
  h(
    'div',
    { class: 'links gap-2' },
    link(text.back, () => void setting.reload()),
  )
