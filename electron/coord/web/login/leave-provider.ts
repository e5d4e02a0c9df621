// Accounts elsewhere on the page of one's own account, and the way out of a provider: another way in, proved, then the
// provider taken away.

import type { AccountPage, ElsewhereView } from '../../identity/login-api.ts'
import { addPasskeyPage, passwordPage, provePage, removePage, sensitive } from './account-pages.ts'
import { h, icon, type IconName } from './dom.ts'
import { leaveFor } from './elsewhere.ts'
import type { Setting } from './page.ts'
import { action, link, list, note, section, type Item } from './parts.ts'
import { withoutPasskeys } from './passkey.ts'
import { agoText, timeText } from './times.ts'
import { words } from './words.ts'

const text = words.elsewhere
/** Which provider the person is leaving, in this tab: the way out leads over several pages. */
const LEAVING = 'peerway-leaving'

/** The first thing to be seen when an account elsewhere ends, and the steps while somebody is on the way out. */
export function leavingParts(setting: Setting, page: AccountPage): HTMLElement[] {
  const leaving = sessionStorage.getItem(LEAVING)
  return page.elsewhere.flatMap((one) => {
    if (keyOf(one) === leaving) return [stepsCard(setting, page, one)]
    return one.endsAtMs === undefined || hasOwnWay(page) ? [] : [endsNote(setting, one, one.endsAtMs, page.nowMs)]
  })
}

function endsNote(setting: Setting, one: ElsewhereView, endsAtMs: number, nowMs: number): HTMLElement {
  const isOver = endsAtMs <= nowMs
  const element = note('warn', isOver ? text.over(one.label) : text.ends(one.label, timeText(endsAtMs, nowMs)))
  element.setAttribute('role', 'alert')
  element.append(
    h('button', { class: 'btn small', type: 'button', on: { click: () => start(setting, one) } }, text.move),
  )
  return h('div', { class: 'notes gap-3' }, element)
}

function start(setting: Setting, one: ElsewhereView): void {
  sessionStorage.setItem(LEAVING, keyOf(one))
  void setting.reload()
}

function stepsCard(setting: Setting, page: AccountPage, one: ElsewhereView): HTMLElement {
  const isAdded = hasOwnWay(page)
  const method = page.sessions.find(({ isThis }) => isThis)?.method
  const isProved = isAdded && (method === 'passkey' || method === 'password')
  const canPasskey = withoutPasskeys(setting.state) === undefined
  const add = (): void =>
    sensitive(setting, page, (page) => (canPasskey ? addPasskeyPage(setting, page) : passwordPage(setting, page)))
  const prove = (): void => setting.go(provePage(setting, page, undefined, true))
  const drop = (): void =>
    sensitive(setting, page, () =>
      removePage(setting, {
        title: text.remove(one.label),
        text: text.removeText(one.label),
        verb: text.removeDo(one.label),
        remove: async () => {
          await setting.api.call('account/oidc/remove', { provider: one.provider, subject: one.subject })
          sessionStorage.removeItem(LEAVING)
          return null
        },
      }),
    )
  const stop = link(text.stop, () => {
    sessionStorage.removeItem(LEAVING)
    void setting.reload()
  })
  const steps: readonly Step[] = [
    {
      icon: canPasskey ? 'fingerprint' : 'user',
      name: canPasskey ? text.addPasskey : text.addPassword,
      text: text.addText,
      isDone: isAdded,
      act: add,
    },
    { icon: 'key', name: text.prove, text: text.proveOwnText, isDone: isProved, act: prove },
    { icon: 'shield', name: text.remove(one.label), text: text.dropText(one.label), isDone: false, act: drop },
  ]
  const next = steps.findIndex(({ isDone }) => !isDone)
  return section(
    text.leaving(one.label),
    h('p', { class: 'hint lead' }, text.leavingText),
    h('ol', { class: 'card list', role: 'list' }, ...steps.map((step, at) => stepItem(step, at, next))),
    h('div', { class: 'gap-1' }, stop),
  )
}

interface Step {
  readonly icon: IconName
  readonly name: string
  readonly text: string
  readonly isDone: boolean
  readonly act: () => void
}

function stepItem({ icon: sign, name, text: more, isDone, act }: Step, at: number, next: number): HTMLElement {
  return h(
    'li',
    { class: 'item', 'aria-current': at === next ? 'step' : undefined },
    icon(isDone ? 'check' : sign),
    h(
      'div',
      { class: 'text' },
      h('p', { class: 'name' }, `${at + 1}. ${name}`, isDone && h('span', { class: 'tag' }, text.done)),
      h('p', { class: 'second' }, more),
    ),
    h('div', { class: 'actions' }, at === next && action(text.go, name, act)),
  )
}

/** Nothing where there are no providers and never were. */
export function elsewhereSection(setting: Setting, page: AccountPage): HTMLElement | undefined {
  const { providers } = setting.state
  if (page.elsewhere.length === 0 && providers.length === 0) return undefined
  const none: Item = { icon: 'shield', name: text.none, text: text.noneText }
  const links = providers
    .filter(({ name, isLeft }) => !isLeft && !page.elsewhere.some(({ provider }) => provider === name))
    .map(({ name, label }) => {
      const button = link(text.link(label), () =>
        sensitive(setting, page, () =>
          removePage(setting, {
            title: text.link(label),
            text: text.linkText(label),
            verb: text.use(label),
            isSafe: true,
            remove: async () => {
              await leaveFor(setting, name, 'link')
              return null
            },
            leads: 'elsewhere',
          }),
        ),
      )
      button.classList.add('with-icon')
      button.prepend(icon('plus', 's'))
      return h('div', { class: 'gap-1' }, button)
    })
  const items = page.elsewhere.map((one) => elsewhereItem(setting, page, one))
  return section(text.title, list(items.length > 0 ? items : [none]), ...links)
}

function elsewhereItem(setting: Setting, page: AccountPage, one: ElsewhereView): Item {
  const { label, shown, lastUsedAtMs, endsAtMs, mayRemove } = one
  const facts = [shown, words.account.used(agoText(lastUsedAtMs, page.nowMs))]
  if (endsAtMs !== undefined)
    facts.push(endsAtMs <= page.nowMs ? text.isOver : text.endsShort(timeText(endsAtMs, page.nowMs)))
  if (!mayRemove) facts.push(words.account.lastWay)
  const leave = action(text.leave, label, () => start(setting, one))
  return { icon: 'shield', name: label, text: facts.join(' · '), actions: [leave] }
}

const hasOwnWay = (page: AccountPage): boolean =>
  page.password !== undefined || page.passkeys.some(({ isUsable }) => isUsable)

const keyOf = ({ provider, subject }: ElsewhereView): string => JSON.stringify([provider, subject])
