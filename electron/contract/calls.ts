// Every question that may be asked across a process border: windows ask over IPC, the CLI over the local socket. Handlers,
// preload and clients are derived from these values; no channel name is typed twice.

import { type Check, listOf, nothing, oneOf, optional, shape, text, whole, yesNo } from './check.ts'
import type { DnsView } from './dns-view.ts'
import type { PathHistoryView } from './path-history-view.ts'
import { pathWish, type PathWish } from './path-policy.ts'
import { routingWish, type RoutingWish } from './routing-wish.ts'
import type { RelayTestView } from './relay-test-view.ts'
import type { RelayStatusView } from './relay-view.ts'
import type { NetcheckView } from './netcheck-view.ts'
import type { AgentSnapshot, TrafficView } from './snapshot.ts'

export interface Call<Arg, Result> {
  readonly check: Check<Arg>
  /** Carries the type only. */
  readonly __result?: Result
}

function call<Arg, Result>(check: Check<Arg>): Call<Arg, Result> {
  return { check }
}

export interface UpArgument {
  /** Undefined keeps the server of the last login. */
  readonly serverUrl: string | undefined
  readonly authKey: string | undefined
  readonly hostname: string | undefined
  readonly forceReauth: boolean | undefined
  readonly routing?: RoutingWish | undefined
  /** Another login beside those that there are, also at a server that is known. */
  readonly isNew?: boolean | undefined
}

const up: Check<UpArgument> = shape({
  serverUrl: optional(text(2048)),
  authKey: optional(text(4096)),
  hostname: optional(text(253)),
  forceReauth: optional(yesNo),
  routing: optional(routingWish),
  isNew: optional(yesNo),
})

/** What is left undefined stays as it is. */
export interface SetArgument {
  /** This machine as a relay for others. */
  readonly relayServer:
    | { /** Undefined turns it off, 0 lets the system pick. */ readonly port: number | undefined }
    | undefined
  /** "ip:port" that are always offered, before what is found. */
  readonly relayServerStaticEndpoints: readonly string[] | undefined
  /** 0 for no limit. */
  readonly relayLimitBytesPerSecond: number | undefined
  /** Carried at most in a calendar month; 0 for no limit. */
  readonly relayMonthlyBytes?: number | undefined
  /** Such as "mon-fri 22:00-07:00; sat,sun"; empty for always. */
  readonly relayHours?: string | undefined
  readonly relayPauseOnBattery?: boolean | undefined
  readonly relayPauseOnMetered?: boolean | undefined
  /** Whether the home router is asked to forward ports to this machine. */
  readonly portMapping?: boolean | undefined
  /** Which paths to other machines may be used. */
  readonly path?: PathWish | undefined
  readonly routing?: RoutingWish | undefined
}

const MOST_STATIC_ENDPOINTS = 16

const set: Check<SetArgument> = shape({
  relayServer: optional(shape({ port: optional(whole(0, 65_535)) })),
  relayServerStaticEndpoints: optional(listOf(text(64), MOST_STATIC_ENDPOINTS)),
  relayLimitBytesPerSecond: optional(whole(0, 1_000_000_000_000)),
  relayMonthlyBytes: optional(whole(0, Number.MAX_SAFE_INTEGER)),
  relayHours: optional(text(200, 0)),
  relayPauseOnBattery: optional(yesNo),
  relayPauseOnMetered: optional(yesNo),
  portMapping: optional(yesNo),
  path: optional(pathWish),
  routing: optional(routingWish),
})

export interface PingArgument {
  /** A MagicDNS name, its first label, or a tailnet address. */
  readonly target: string
  readonly timeoutMs: number
}

export interface PingReply {
  readonly node: string
  readonly address: string
  readonly latencyMs: number
  readonly kind: 'direct' | 'peer-relay' | 'derp'
  /** The endpoint, the relay's name or the DERP region's code. */
  readonly via: string
}

/** What the agent answers, over the socket and (through the shell) to a window. */
export const agentCalls = {
  'agent.snapshot': call<void, AgentSnapshot>(nothing),
  'agent.traffic': call<void, TrafficView>(nothing),
  /** Turns the node on; returns at once, progress is in the snapshot. */
  'agent.up': call<UpArgument, void>(up),
  'agent.down': call<void, void>(nothing),
  /** Forgets this login: the node key is expired at the server and dropped here. */
  'agent.logout': call<void, void>(nothing),
  /** Changes settings of the current login, at once and for later starts. */
  /** Changes to another network that was joined before, by its id or one of its names. */
  'agent.switch': call<{ readonly profile: string }, void>(shape({ profile: text(2048) })),
  /** Logs out of a network and forgets it. */
  'agent.removeProfile': call<{ readonly profile: string }, void>(shape({ profile: text(2048) })),
  'agent.set': call<SetArgument, void>(set),
  'agent.relayStatus': call<void, RelayStatusView>(nothing),
  /** Takes up to twenty seconds. */
  'agent.relayTest': call<void, RelayTestView>(nothing),
  'agent.ping': call<PingArgument, PingReply>(shape({ target: text(253), timeoutMs: whole(1, 60_000) })),
  /** Of a peer by its id; 'agent/unknown-node' when there is none. */
  'agent.pathHistory': call<{ readonly peer: string }, PathHistoryView>(shape({ peer: text(64) })),
  /** Of the last half minute; an older one is made anew first, which takes up to some seconds. */
  'agent.netcheck': call<void, NetcheckView>(nothing),
  /** Undefined while names are not asked for here. */
  'agent.dns': call<void, DnsView | undefined>(nothing),
}

/** The network that this computer hosts itself. */
export interface OwnNetworkView {
  readonly state: 'absent' | 'starting' | 'running' | 'failed'
  readonly name: string | undefined
  /** What another machine types to join. */
  readonly joinUrl: string | undefined
  readonly problem: { readonly code: string; readonly message: string } | undefined
  /** False until the owner has a passkey or a password. */
  readonly ownerCanSignIn: boolean
  /** Machines that wait to be let in, the oldest first. */
  readonly waiting: readonly WaitingMachineView[]
}

/** A machine that somebody wants to bring into the network of this computer. What it says of itself is not proven. */
export interface WaitingMachineView {
  readonly id: string
  readonly name: string
  readonly os: string
  /** Where it asks from. */
  readonly address: string
  /** Whose it is, of one that is signed in and waits for approval; others have nobody yet. */
  readonly user?: string
  /** Wall-clock ms. */
  readonly askedAt: number
}

export interface InviteView {
  readonly serverUrl: string
  readonly authKey: string
  /** Wall-clock ms. */
  readonly expiresAt: number
}

export type ThemeChoice = 'system' | 'light' | 'dark'

/** What a window must know of the app around it. */
export interface ShellView {
  readonly theme: ThemeChoice
  /** This desktop shows no tray icon, and nobody has said yet that they know. */
  readonly tellNoTray: boolean
}

/** What only the desktop app answers. */
export const shellCalls = {
  'own.status': call<void, OwnNetworkView>(nothing),
  /** Starts a coordination server on this computer (or the one from earlier) and joins it. */
  'own.start': call<{ readonly name: string | undefined }, OwnNetworkView>(shape({ name: optional(text(60)) })),
  /** A one-time key with which another machine joins the network of this computer. */
  'own.invite': call<void, InviteView>(nothing),
  /** Lets a waiting machine in, as its user's or else as one of the owner's; 'coord/not-found' when it waits no more. */
  'own.approve': call<{ readonly id: string }, void>(shape({ id: text(64) })),
  'own.deny': call<{ readonly id: string }, void>(shape({ id: text(64) })),
  /** Opens the console of the network of this computer. */
  'own.openConsole': call<void, void>(nothing),
  /** Opens the page where the owner adds a passkey or a password. */
  'own.openSignInSetup': call<void, void>(nothing),
  'shell.view': call<void, ShellView>(nothing),
  /** Opens the pending login page in the system's browser. */
  'shell.openLogin': call<void, void>(nothing),
  'shell.copy': call<{ readonly text: string }, void>(shape({ text: text(4096) })),
  'shell.theme': call<{ readonly theme: ThemeChoice }, void>(shape({ theme: oneOf('system', 'light', 'dark') })),
  /** The note that there is no tray was read. */
  'shell.noTrayRead': call<void, void>(nothing),
  /** Puts the window away; the app goes on. */
  'shell.hideWindow': call<void, void>(nothing),
  'shell.quit': call<void, void>(nothing),
}

export const windowCalls = { ...agentCalls, ...shellCalls }

export type ArgOf<C> = C extends Call<infer A, unknown> ? A : never
export type ResultOf<C> = C extends Call<unknown, infer R> ? R : never

/** A missing handler or a wrong answer does not compile. */
export type Handlers<Calls> = { readonly [N in keyof Calls]: (arg: ArgOf<Calls[N]>) => Promise<ResultOf<Calls[N]>> }

export type AgentHandlers = Handlers<typeof agentCalls>
export type WindowHandlers = Handlers<typeof windowCalls>

/** What goes back over the border: a failure is a value, so that its code survives. */
export type Reply<R> =
  | { readonly ok: true; readonly value: R }
  | { readonly ok: false; readonly code: string; readonly message: string }

/** Checks the argument, runs the handler, and turns whatever happens into a Reply. `raw` comes from outside and is not trusted. */
export async function answer<Calls extends Record<string, Call<unknown, unknown>>>(
  calls: Calls,
  handlers: Handlers<Calls>,
  name: string,
  raw: unknown,
): Promise<Reply<unknown>> {
  if (!Object.hasOwn(calls, name))
    return { ok: false, code: 'contract/unknown-call', message: `There is no call "${name.slice(0, 60)}".` }
  try {
    const known = calls[name] as Call<unknown, unknown>
    const handler = handlers[name] as (arg: unknown) => Promise<unknown>
    return { ok: true, value: await handler(known.check(raw)) }
  } catch (error) {
    return failureReply(error)
  }
}

export function failureReply(error: unknown): { ok: false; code: string; message: string } {
  const code =
    typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
      ? error.code
      : 'internal/failed'
  return { ok: false, code, message: error instanceof Error ? error.message : String(error) }
}
