// The script of /login/<id>, /enrol/<token>, /account and the page that providers send browsers back to: asks the server
// where things stand and shows the page for it.

import type { Place } from '../identity/login-api.ts'
import { Api, Refusal } from './login/api.ts'
import { cameFrom, comeBack } from './login/elsewhere.ts'
import { h } from './login/dom.ts'
import { column, note, primary } from './login/parts.ts'
import type { Page, Setting } from './login/page.ts'
import { pageFor } from './login/views.ts'
import { words } from './login/words.ts'

const [, kind, id = ''] = location.pathname.split('/')
const provider = cameFrom(location.pathname)
const isAccount = kind === 'account' || provider !== undefined
const place: Place = isAccount ? { account: true } : kind === 'enrol' ? { enrol: id } : { login: id }
// What stands behind the # reaches no server and no log; it does not stay in the address either.
const setupCode = location.hash.slice(1)
const query = provider === undefined ? '' : location.search.slice(1)
if (setupCode !== '' || query !== '') history.replaceState(null, '', location.pathname)
const api = new Api(place)

function show(page: Page): void {
  document.title = `${page.title} · Peerway`
  document.querySelector('#page')?.replaceChildren(page.element)
  const heading = page.element.querySelector('h1')
  ;(page.focus ?? heading)?.focus()
  // The focus may be on a control below: the page's name is read as well.
  const said = document.querySelector('#said')
  if (said && page.focus) said.textContent = page.title
}

async function load(): Promise<void> {
  const state = await api.state()
  if (provider !== undefined) {
    const trouble = await comeBack({ api }, provider, query)
    if (trouble) show(trouble)
    return
  }
  const renewed: Setting['renewed'] = async () => {
    const { stage } = await api.state()
    return stage.kind === 'account' ? stage.page : undefined
  }
  const loadedAtMs = performance.now()
  const setting: Setting = {
    api,
    state,
    loadedAtMs,
    renewed,
    login: kind === 'login' ? id : undefined,
    enrol: id,
    setupCode,
    go: show,
    reload: load,
  }
  show(pageFor(setting, state.stage))
}

function start(): void {
  load().catch((error: unknown) => {
    const text = error instanceof Refusal ? error.message : words.trouble.unreadable
    const button = primary(words.noWayIn.retry, undefined, start)
    const title = words.signIn.title
    const parts = [h('div', { class: 'gap-4', role: 'alert' }, note('bad', text)), h('div', { class: 'gap-3' }, button)]
    show({ title, element: column({ title }, ...parts), focus: button })
  })
}

start()
