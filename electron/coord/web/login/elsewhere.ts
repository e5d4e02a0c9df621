// Accounts at providers: the way there, and back.

import { Refusal } from './api.ts'
import { h } from './dom.ts'
import { attempt } from './forms.ts'
import type { Page, Setting } from './page.ts'
import { column, endPage, note, primary, type Trouble, wayRow, whole } from './parts.ts'
import { words } from './words.ts'

const text = words.elsewhere
const CALLBACK = /^\/login\/oidc\/([a-z0-9-]{1,32})\/callback$/

/** A row for each provider; the browser leaves with it. */
export function providerRows(
  setting: Setting,
  purpose: 'sign-in' | 'prove' | 'enrol',
  trouble: Trouble,
  isShown: (name: string) => boolean = () => true,
): HTMLElement[] {
  const shown = setting.state.providers.filter(({ name, isLeft }) => isShown(name) && !(isLeft && purpose === 'enrol'))
  return shown.map(({ name, label }) => {
    const row: HTMLElement = wayRow('shield', text.use(label), () => {
      void attempt(trouble, row, () => leaveFor(setting, name, purpose))
    })
    return row
  })
}

export async function leaveFor(
  { api, login, enrol }: Pick<Setting, 'api' | 'login' | 'enrol'>,
  provider: string,
  purpose: 'sign-in' | 'prove' | 'link' | 'enrol',
): Promise<void> {
  const { url } = await api.call('oidc/begin', {
    provider,
    purpose,
    login,
    enrol: purpose === 'enrol' ? enrol : undefined,
  })
  location.assign(url)
}

/** The provider's name, where this page is the one that browsers come back to. */
export const cameFrom = (path: string): string | undefined => CALLBACK.exec(path)?.[1]

/** Ends what the browser left for. What came along is good once, and does not stay in the address. */
export async function comeBack(
  { api }: Pick<Setting, 'api'>,
  provider: string,
  query: string,
): Promise<Page | undefined> {
  try {
    const { login, enrol, enrolled, refused } = await api.call('oidc/finish', { provider, query })
    const next =
      login !== undefined
        ? `/login/${encodeURIComponent(login)}`
        : enrol !== undefined
          ? `/enrol/${encodeURIComponent(enrol)}`
          : '/account'
    if (refused) return troublePage(refused.message, next)
    if (enrolled) return endPage(words.end.enrolled, words.end.enrolledText(whole(enrolled)), true)
    location.replace(next)
    return undefined
  } catch (error) {
    return troublePage(error instanceof Refusal ? error.message : words.trouble.unreadable, '/account')
  }
}

function troublePage(message: string, next: string): Page {
  const again = primary(text.again, undefined, () => location.replace(next))
  const element = column(
    { title: text.troubleTitle, lines: [location.host] },
    h('div', { class: 'gap-4', role: 'alert' }, note('bad', message)),
    h('div', { class: 'gap-3' }, again),
  )
  return { title: text.troubleTitle, element, focus: again }
}
