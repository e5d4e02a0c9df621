// What a person can do in the window. Each action asks the app and puts the answer where the views see it.

import type { PeerwayBridge } from '../electron/contract/bridge.ts'
import type { Reply, SetArgument, ThemeChoice, UpArgument } from '../electron/contract/calls.ts'
import type { PathWish } from '../electron/contract/path-policy.ts'
import type { RoutingWish } from '../electron/contract/routing-wish.ts'
import type { NodeId } from '../electron/contract/snapshot.ts'
import { acceptSnapshot, NOT_TESTED, type Page, type UiStore } from './store.ts'
import { words } from './words.ts'

export type Actions = ReturnType<typeof createActions>

type Failed = { readonly ok: false; readonly code: string; readonly message: string }

const UP: UpArgument = { serverUrl: undefined, authKey: undefined, hostname: undefined, forceReauth: undefined }
/** Nothing changes. */
const SET: SetArgument = {
  relayServer: undefined,
  relayServerStaticEndpoints: undefined,
  relayLimitBytesPerSecond: undefined,
}

export function createActions(ui: UiStore, bridge: PeerwayBridge) {
  let toasts = 0
  /** Set while a sign-in was asked for here: its page opens by itself, once. */
  let opensLogin = false

  const failed = ({ code, message }: Failed): void => ui.setState({ failure: { code, message } })

  function toast(text: string): void {
    toasts += 1
    ui.setState({ toast: { number: toasts, text }, said: text })
  }

  function listen(): () => void {
    const stops = [
      bridge.onSnapshot((agent) => {
        acceptSnapshot(ui, agent)
        if (opensLogin && agent.loginUrl !== undefined) {
          opensLogin = false
          void openLogin()
        }
        if (agent.state === 'running') opensLogin = false
      }),
      bridge.onOwnNetwork((own) => ui.setState({ own })),
      bridge.onEvent((event) => {
        if (event.type === 'notice') toast(event.text)
      }),
      bridge.onOpen(open),
    ]
    void refresh()
    return () => {
      for (const stop of stops) stop()
    }
  }

  async function refresh(): Promise<void> {
    const [agent, own, shell] = await Promise.all([
      bridge.call('agent.snapshot'),
      bridge.call('own.status'),
      bridge.call('shell.view'),
    ])
    if (agent.ok) {
      acceptSnapshot(ui, agent.value)
      ui.setState({ failure: undefined })
    } else failed(agent)
    if (own.ok) ui.setState((now) => ({ own: now.own ?? own.value }))
    if (shell.ok) ui.setState({ shell: shell.value })
  }

  const open = (page: Page): void => ui.setState({ page, failure: undefined })
  const home = (): void => open({ name: 'home' })

  async function wishFor(wish: 'on' | 'off', call: () => Promise<{ ok: true } | Failed>): Promise<boolean> {
    ui.setState({ wish, failure: undefined })
    const reply = await call()
    // A second click in the meantime has made a newer wish.
    ui.setState((now) => (now.wish === wish ? { wish: undefined } : now))
    if (!reply.ok) failed(reply)
    return reply.ok
  }

  const connect = (): Promise<boolean> => wishFor('on', () => bridge.call('agent.up', UP))
  const disconnect = (): Promise<boolean> => {
    opensLogin = false
    return wishFor('off', () => bridge.call('agent.down'))
  }

  /** Connects, disconnects, or cancels what is under way. */
  async function toggle(): Promise<void> {
    const { agent, wish } = ui.getState()
    if (!agent) return
    const isOn = agent.state === 'running' || agent.state === 'starting' || agent.loginUrl !== undefined
    if (wish === undefined ? isOn : wish === 'on') await disconnect()
    else if (agent.state === 'needs-login') await signIn()
    else await connect()
  }

  async function signIn(): Promise<void> {
    const isRunning = ui.getState().agent?.state === 'running'
    opensLogin = true
    const done = await wishFor('on', () =>
      bridge.call('agent.up', { ...UP, forceReauth: isRunning ? true : undefined }),
    )
    if (!done) opensLogin = false
  }

  async function join(serverUrl: string, authKey: string | undefined): Promise<boolean> {
    opensLogin = authKey === undefined
    const done = await wishFor('on', () => bridge.call('agent.up', { ...UP, serverUrl, authKey, isNew: true }))
    if (!done) opensLogin = false
    return done
  }

  /** Gives a join up: back to the network that was there before, where there is one. */
  async function cancelJoin(): Promise<boolean> {
    opensLogin = false
    const before = ui.getState().agent?.profiles?.find(({ isCurrent, isLoggedIn }) => isCurrent && isLoggedIn)
    return before ? switchTo(before) : disconnect()
  }

  /** One that is signed out asks for a sign-in. */
  async function switchTo({ id, isLoggedIn }: { readonly id: string; readonly isLoggedIn: boolean }): Promise<boolean> {
    if (isLoggedIn) return wishFor('on', () => bridge.call('agent.switch', { profile: id }))
    const serverUrl = ui.getState().agent?.profiles?.find((one) => one.id === id)?.serverUrl
    opensLogin = true
    const done = await wishFor('on', () => bridge.call('agent.up', { ...UP, serverUrl }))
    if (!done) opensLogin = false
    return done
  }

  async function switchToNumber(number: number): Promise<void> {
    const profile = ui.getState().agent?.profiles?.[number - 1]
    if (!profile || profile.isCurrent) return
    home()
    await switchTo(profile)
  }

  async function removeNetwork(id: string): Promise<void> {
    const reply = await bridge.call('agent.removeProfile', { profile: id })
    if (!reply.ok) failed(reply)
  }

  async function openConsole(): Promise<void> {
    const reply = await bridge.call('own.openConsole')
    if (!reply.ok) failed(reply)
  }

  async function answerWaiting(id: string, isAllowed: boolean, name: string): Promise<void> {
    ui.setState({ failure: undefined })
    const reply = await bridge.call(isAllowed ? 'own.approve' : 'own.deny', { id })
    if (!reply.ok) return failed(reply)
    home()
    toast(isAllowed ? words.waiting.allowed(name) : words.waiting.denied(name))
  }

  async function openLogin(): Promise<void> {
    const reply = await bridge.call('shell.openLogin')
    if (!reply.ok) failed(reply)
  }

  async function startOwn(): Promise<void> {
    open({ name: 'own' })
    const reply = await bridge.call('own.start', { name: undefined })
    if (reply.ok) ui.setState({ own: reply.value })
    else failed(reply)
  }

  /** Its failure is told where it was asked for. */
  async function testRelay(): Promise<void> {
    ui.setState(({ relayTest }) => ({ relayTest: { ...relayTest, isBusy: true }, relayFailure: undefined }))
    const reply = await bridge.call('agent.relayTest')
    if (reply.ok) ui.setState({ relayTest: { isBusy: false, atMs: Date.now(), view: reply.value } })
    else ui.setState({ relayTest: NOT_TESTED, relayFailure: reply })
  }

  async function setRelay(isOn: boolean): Promise<Reply<void>> {
    ui.setState({ relayTest: NOT_TESTED })
    return bridge.call('agent.set', { ...SET, relayServer: { port: isOn ? 0 : undefined } })
  }

  async function setRelayManners(change: Partial<SetArgument>): Promise<Reply<void>> {
    // What was found with the router's help says nothing without it.
    if (change.portMapping !== undefined) ui.setState({ relayTest: NOT_TESTED })
    return bridge.call('agent.set', { ...SET, ...change })
  }

  async function copy(text: string, name = text): Promise<boolean> {
    const reply = await bridge.call('shell.copy', { text })
    if (reply.ok) toast(words.copied(name))
    else failed(reply)
    return reply.ok
  }

  async function signOut(): Promise<void> {
    const reply = await bridge.call('agent.logout')
    if (reply.ok) home()
    else failed(reply)
  }

  async function setTheme(theme: ThemeChoice): Promise<void> {
    ui.setState((now) => (now.shell ? { shell: { ...now.shell, theme } } : now))
    const reply = await bridge.call('shell.theme', { theme })
    if (!reply.ok) failed(reply)
  }

  async function noTrayRead(): Promise<void> {
    ui.setState((now) => (now.shell ? { shell: { ...now.shell, tellNoTray: false } } : now))
    await bridge.call('shell.noTrayRead')
  }

  async function setUpSignIn(): Promise<void> {
    const reply = await bridge.call('own.openSignInSetup')
    if (!reply.ok) failed(reply)
  }

  return {
    listen,
    refresh,
    open,
    openPeer: (id: NodeId) => open({ name: 'peer', id }),
    home,
    toast,
    toggle,
    connect,
    disconnect,
    signIn,
    join,
    openLogin,
    cancelJoin,
    switchTo,
    switchToNumber,
    removeNetwork,
    openConsole,
    answerWaiting,
    startOwn,
    copy,
    signOut,
    setTheme,
    noTrayRead,
    setUpSignIn,
    relayStatus: () => bridge.call('agent.relayStatus'),
    setRelay,
    testRelay,
    setRelayManners,
    setRelayLimit: (relayLimitBytesPerSecond: number) => bridge.call('agent.set', { ...SET, relayLimitBytesPerSecond }),
    invite: () => bridge.call('own.invite'),
    ping: (target: string) => bridge.call('agent.ping', { target, timeoutMs: 5_000 }),
    setRouting: (routing: RoutingWish) => bridge.call('agent.set', { ...SET, routing }),
    setPath: (path: PathWish) => bridge.call('agent.set', { ...SET, path }),
    pathHistory: (id: NodeId) => bridge.call('agent.pathHistory', { peer: id }),
    search: (text: string) => ui.setState({ search: text }),
    dismissFailure: () => ui.setState({ failure: undefined }),
    endToast: (number: number) => ui.setState((now) => (now.toast?.number === number ? { toast: undefined } : now)),
    say: (said: string) => ui.setState({ said }),
    hideWindow: () => void bridge.call('shell.hideWindow'),
    quit: () => void bridge.call('shell.quit'),
  }
}
