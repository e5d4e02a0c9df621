// What the app answers to its window: the agent's own calls, and those that only a desktop app has.

import { CodedError } from '../base/errors.ts'
import type { AgentHandlers, ShellView, ThemeChoice, WindowHandlers } from '../contract/calls.ts'
import type { Backend } from './backend.ts'

export interface Desktop {
  /** Opens a page in the system's browser; rejects when there is none. */
  openInBrowser(url: string): Promise<void>
  copy(text: string): Promise<void>
  setTheme(theme: ThemeChoice): void
  view(): ShellView
  noTrayRead(): void
  hideWindow(): void
  quit(): void
}

export function windowHandlers(backend: Backend, desktop: Desktop): WindowHandlers {
  const asked = async <T>(ask: (handlers: AgentHandlers) => Promise<T>): Promise<T> =>
    ask((await backend.agent()).handlers)
  const act = (work: () => void): Promise<void> => {
    work()
    return Promise.resolve()
  }
  return {
    'agent.snapshot': () => asked((agent) => agent['agent.snapshot']()),
    'agent.traffic': () => asked((agent) => agent['agent.traffic']()),
    'agent.up': (wish) => asked((agent) => agent['agent.up'](wish)),
    'agent.down': () => asked((agent) => agent['agent.down']()),
    'agent.logout': () => asked((agent) => agent['agent.logout']()),
    'agent.switch': (which) => asked((agent) => agent['agent.switch'](which)),
    'agent.removeProfile': (which) => asked((agent) => agent['agent.removeProfile'](which)),
    'agent.set': (settings) => asked((agent) => agent['agent.set'](settings)),
    'agent.relayTest': () => asked((agent) => agent['agent.relayTest']()),
    'agent.relayStatus': () => asked((agent) => agent['agent.relayStatus']()),
    'agent.ping': (question) => asked((agent) => agent['agent.ping'](question)),
    'agent.pathHistory': (question) => asked((agent) => agent['agent.pathHistory'](question)),
    'agent.netcheck': () => asked((agent) => agent['agent.netcheck']()),
    'agent.dns': () => asked((agent) => agent['agent.dns']()),
    'own.status': () => Promise.resolve(backend.own.view),
    'own.start': ({ name }) => backend.startOwn(name),
    'own.invite': () => backend.own.invite(),
    'own.approve': ({ id }) => backend.own.approve(id),
    'own.deny': ({ id }) => backend.own.deny(id),
    'own.openConsole': async () => desktop.openInBrowser(backend.own.consoleUrl()),
    'own.openSignInSetup': async () => desktop.openInBrowser(await backend.own.signInSetupUrl()),
    'shell.view': () => Promise.resolve(desktop.view()),
    'shell.openLogin': async () => desktop.openInBrowser(loginPage((await backend.agent()).snapshot().loginUrl)),
    'shell.copy': ({ text }) => desktop.copy(text),
    'shell.theme': ({ theme }) => act(() => desktop.setTheme(theme)),
    'shell.noTrayRead': () => act(() => desktop.noTrayRead()),
    'shell.hideWindow': () => act(() => desktop.hideWindow()),
    'shell.quit': () => act(() => desktop.quit()),
  }
}

/** A server names its login page; anything but a web page would start another program. */
export function loginPage(url: string | undefined): string {
  if (url === undefined)
    throw new CodedError('shell/no-login', 'No sign-in is waiting any more. Start it again if you are not connected.')
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (!parsed || !/^https?:$/.test(parsed.protocol))
    throw new CodedError(
      'shell/bad-login-page',
      'The server named a sign-in page that is not a web page, so it was not opened. Ask whoever runs the server.',
    )
  return parsed.href
}
