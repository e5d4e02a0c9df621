// The page of one's own account: what one signs in with, where one is signed in, and whom one may let in again.

import type { AccountPage, PasskeyView, PersonView, RecoveryView, SessionView } from '../../identity/login-api.ts'
import {
  addPasskeyPage,
  invitePage,
  makeCodesPage,
  passwordPage,
  personLinkPage,
  removePage,
  renamePage,
  sensitive,
  totpPage,
} from './account-pages.ts'
import { attempt } from './forms.ts'
import { elsewhereSection, leavingParts } from './leave-provider.ts'
import { h, icon } from './dom.ts'
import type { Page, Setting } from './page.ts'
import { action, column, link, list, note, section, Trouble, whole, type Item } from './parts.ts'
import { sourceText } from './parts.ts'
import { withoutPasskeys } from './passkey.ts'
import { agoText, dateText, timeText } from './times.ts'
import { words } from './words.ts'

const text = words.account

export function accountView(setting: Setting, page: AccountPage): Page {
  const { api, state } = setting
  const trouble = new Trouble()
  const signOut = link(text.signOut, () => {
    void attempt(trouble, signOut, async () => {
      await api.call('sign-out', {})
      await setting.reload()
    })
  })
  const element = column(
    { title: text.title, lines: [state.host], isWide: true },
    h(
      'div',
      { class: 'links' },
      h('span', { class: 'under' }, text.who(whole(page.account), text.roles[page.role])),
      signOut,
    ),
    trouble.element,
    recoveryNotes(setting, trouble, page.recoveries, page.nowMs),
    passkeyNotes(setting, page),
    ...leavingParts(setting, page),
    passkeySection(setting, page),
    otherSection(setting, page),
    elsewhereSection(setting, page),
    sessionSection(setting, page, trouble),
    page.mayInvite.length > 0 && peopleSection(setting, page, trouble),
  )
  return { title: text.title, element }
}

/** The first thing to be seen: somebody is about to take the account over, with or without the person's wish. */
export function recoveryNotes(
  setting: Setting,
  trouble: Trouble,
  recoveries: readonly RecoveryView[],
  nowMs = Date.now(),
): HTMLElement | undefined {
  if (recoveries.length === 0) return undefined
  const notes = recoveries.map((recovery) => {
    const isReady = recovery.readyAtMs <= nowMs
    const stop = h(
      'button',
      { class: 'btn small danger', type: 'button', on: { click: () => ending(setting, trouble, stop, recovery) } },
      text.stop,
    )
    const words = isReady
      ? text.recoveryReady(recovery.helper)
      : text.recovery(recovery.helper, timeText(recovery.readyAtMs, nowMs))
    const element = note('bad', words)
    element.append(stop)
    element.setAttribute('role', 'alert')
    return element
  })
  return h('div', { class: 'notes gap-3' }, ...notes)
}

/** A passkey that may have been copied, and how to come from the server's former name to the one it has. */
function passkeyNotes(setting: Setting, page: AccountPage): HTMLElement | undefined {
  const copied = page.passkeys.flatMap(({ name, copiedAtMs }) => {
    if (copiedAtMs === undefined) return []
    const element = note('bad', text.passkeyCopied(name, agoText(copiedAtMs, page.nowMs)))
    element.setAttribute('role', 'alert')
    return [element]
  })
  const former = [...new Set(page.passkeys.filter(({ isUsable }) => !isUsable).map(({ host }) => host))]
  const moves =
    withoutPasskeys(setting.state) === undefined
      ? former.map((host) => note('warn', text.formerHost(host, setting.state.host)))
      : []
  const notes = [...copied, ...moves]
  return notes.length === 0 ? undefined : h('div', { class: 'notes gap-3' }, ...notes)
}

function ending(setting: Setting, trouble: Trouble, button: HTMLElement, { id }: RecoveryView): void {
  void attempt(trouble, button, async () => {
    await setting.api.call('account/recovery/stop', { id })
    await setting.reload()
  })
}

function passkeySection(setting: Setting, page: AccountPage): HTMLElement {
  const noPasskeys = withoutPasskeys(setting.state)
  const usable =
    page.passkeys.filter(({ isUsable }) => isUsable).length +
    (page.password ? 1 : 0) +
    page.elsewhere.filter(({ endsAtMs }) => endsAtMs === undefined).length
  const none: Item = { icon: 'fingerprint', name: text.noPasskey, text: text.noPasskeyText }
  const items =
    page.passkeys.length === 0 ? [none] : page.passkeys.map((passkey) => passkeyItem(setting, page, passkey))
  return section(
    text.passkeys,
    list(items),
    noPasskeys === undefined
      ? h(
          'div',
          { class: 'gap-1' },
          plusLink(text.addPasskey, () => sensitive(setting, page, (page) => addPasskeyPage(setting, page))),
        )
      : h('p', { class: 'hint' }, noPasskeys),
    usable === 1 && h('p', { class: 'hint' }, text.oneWay),
  )
}

function passkeyItem(setting: Setting, page: AccountPage, passkey: PasskeyView): Item {
  const { id, name, host, isUsable, mayRemove, createdAtMs, lastUsedAtMs } = passkey
  const used = lastUsedAtMs === undefined ? text.neverUsed : text.used(agoText(lastUsedAtMs, page.nowMs))
  const facts = [text.made(dateText(createdAtMs, page.nowMs)), used]
  if (!isUsable) facts.push(text.otherHost(host))
  if (!mayRemove) facts.push(text.lastWay)
  const remove = (): void =>
    sensitive(setting, page, () =>
      removePage(setting, {
        title: text.removePasskey(name),
        text: text.removePasskeyText,
        verb: text.removePasskeyDo,
        remove: () => setting.api.call('account/passkey/remove', { id }),
      }),
    )
  return {
    icon: 'fingerprint',
    name,
    text: facts.join(' · '),
    actions: [
      action(text.rename, name, () => setting.go(renamePage(setting, passkey))),
      mayRemove && action(text.remove, name, remove, 'danger'),
    ],
  }
}

function otherSection(setting: Setting, page: AccountPage): HTMLElement {
  const { password, totpSinceMs, recoveryCodes, nowMs } = page
  const when = (ms: number): string => dateText(ms, nowMs)
  const set = (): void => sensitive(setting, page, (page) => passwordPage(setting, page))
  const removePassword = (): void =>
    sensitive(setting, page, () =>
      removePage(setting, {
        title: text.removePassword,
        text: text.removePasswordText,
        verb: text.removePasswordDo,
        remove: () => setting.api.call('account/password/remove', {}),
      }),
    )
  const removeTotp = (): void =>
    sensitive(setting, page, () =>
      removePage(setting, {
        title: text.removeTotp,
        text: text.removeTotpText,
        verb: text.removeTotpDo,
        remove: () => setting.api.call('account/totp/remove', {}),
      }),
    )
  const passwordText = password ? text.passwordChanged(when(password.changedAtMs)) : text.noPassword
  const codes = (): void => sensitive(setting, page, (page) => makeCodesPage(setting, page))
  return section(
    text.otherWays,
    list([
      {
        icon: 'user',
        name: text.password,
        text: password && !password.mayRemove ? `${passwordText} · ${text.lastWay}` : passwordText,
        actions: [
          action(password ? text.change : text.set, text.password, set),
          password?.mayRemove === true && action(text.remove, text.password, removePassword, 'danger'),
        ],
      },
      {
        icon: 'phone',
        name: text.totp,
        text:
          totpSinceMs !== undefined
            ? text.totpSince(when(totpSinceMs))
            : password
              ? text.totpOff
              : text.totpNeedsPassword,
        actions: [
          totpSinceMs !== undefined
            ? action(text.remove, text.totp, removeTotp, 'danger')
            : password &&
              action(text.setUp, text.totp, () => sensitive(setting, page, (page) => totpPage(setting, page))),
        ],
      },
      {
        icon: 'paper',
        name: text.recoveryCodes,
        text: recoveryCodes ? text.codesLeft(recoveryCodes.left, when(recoveryCodes.createdAtMs)) : text.noCodes,
        actions: [action(recoveryCodes ? text.makeNewCodes : text.makeCodes, text.recoveryCodes, codes)],
      },
    ]),
  )
}

function sessionSection(setting: Setting, page: AccountPage, trouble: Trouble): HTMLElement {
  const items = page.sessions.map((session) => sessionItem(setting, page, session, trouble))
  const others = plainLink(text.endOthers, (button) => {
    void attempt(trouble, button, async () => {
      await setting.api.call('account/session/end-others', {})
      await setting.reload()
    })
  })
  return section(text.sessions, list(items), page.sessions.length > 1 && h('div', { class: 'gap-1' }, others))
}

function sessionItem(setting: Setting, page: AccountPage, session: SessionView, trouble: Trouble): Item {
  const { id, isThis, method, browser, source, usedAtMs } = session
  const place = source === '' ? [] : [sourceText(source)]
  const facts = [...place, text.by[method], text.used(agoText(usedAtMs, page.nowMs))]
  const name = browser || text.unknownBrowser
  const end: HTMLButtonElement = action(text.end, name, () => {
    void attempt(trouble, end, async () => {
      await setting.api.call('account/session/end', { id })
      await setting.reload()
    })
  })
  return {
    icon: 'monitor',
    name,
    tag: isThis ? text.thisBrowser : undefined,
    text: facts.join(' · '),
    actions: [!isThis && end],
  }
}

function peopleSection(setting: Setting, page: AccountPage, trouble: Trouble): HTMLElement {
  return section(
    text.people,
    page.people.length > 0 && h('p', { class: 'hint lead' }, text.peopleText),
    page.people.length > 0 && list(page.people.map((person) => personItem(setting, page, person, trouble))),
    h(
      'div',
      { class: 'gap-1' },
      plusLink(text.invite, () => sensitive(setting, page, (page) => invitePage(setting, page))),
    ),
  )
}

function personItem(setting: Setting, page: AccountPage, person: PersonView, trouble: Trouble): Item {
  const { recovery, role } = person
  const name = whole(person)
  if (!recovery) {
    const start = (): void =>
      sensitive(setting, page, () =>
        removePage(setting, {
          title: text.letInAsk(person.name),
          text: text.letInText(person.name),
          verb: text.letInDo,
          remove: () => setting.api.call('account/recovery/start', { person: person.id }),
        }),
      )
    return { icon: 'user', name, text: role, actions: [action(text.letIn, name, start)] }
  }
  const isReady = recovery.readyAtMs <= page.nowMs
  const stop: HTMLButtonElement = action(text.stop, name, () => ending(setting, trouble, stop, recovery), 'danger')
  const make = (): void => sensitive(setting, page, (page) => personLinkPage(setting, page, person, recovery))
  return {
    icon: 'user',
    name,
    text: isReady
      ? text.ready(recovery.helper)
      : text.waiting(timeText(recovery.readyAtMs, page.nowMs), recovery.helper),
    actions: [stop, isReady && action(text.makeLink, name, make)],
  }
}

function plusLink(words: string, onClick: () => void): HTMLElement {
  const button = link(words, onClick)
  button.classList.add('with-icon')
  button.prepend(icon('plus', 's'))
  return button
}

function plainLink(words: string, onClick: (button: HTMLElement) => void): HTMLElement {
  const button: HTMLElement = link(words, () => onClick(button))
  return button
}
