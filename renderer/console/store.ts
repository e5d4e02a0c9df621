// What the console knows. Each list is asked for when its page is opened, and again when the server says that it changed.

import { create } from 'zustand'
import { api, askAbout, Refusal } from './api.ts'
import type {
  AuditLine,
  AuthKey,
  DerpMap,
  Dns,
  Machine,
  Me,
  Paths,
  Person,
  PolicyText,
  RelayAdvice,
  Route,
  Settings,
  Waiting,
} from './types.ts'

export const PLACES = [
  'machines',
  'approvals',
  'people',
  'keys',
  'policy',
  'dns',
  'relays',
  'audit',
  'settings',
] as const
export type PlaceName = (typeof PLACES)[number]

export interface Lists {
  readonly machines: readonly Machine[]
  readonly waiting: readonly Waiting[]
  readonly routes: readonly Route[]
  readonly people: readonly Person[]
  readonly keys: readonly AuthKey[]
  readonly policy: PolicyText
  readonly dns: Dns
  readonly advice: RelayAdvice
  readonly derpMap: DerpMap
  readonly audit: readonly AuditLine[]
  readonly settings: Settings
  readonly paths: readonly Paths[]
}

export interface ConsoleState {
  readonly place: PlaceName
  readonly me: Me | 'signed-out' | undefined
  readonly lists: Partial<Lists>
  /** The last thing that did not work, in the server's words. */
  readonly trouble: string | undefined
  /** Said once, at the bottom. */
  readonly toast: string | undefined
}

const NEEDED: Readonly<Record<PlaceName, readonly (keyof Lists)[]>> = {
  machines: ['machines', 'paths', 'waiting', 'routes', 'people'],
  approvals: ['machines', 'waiting', 'routes', 'people'],
  people: ['people'],
  keys: ['keys', 'people'],
  policy: ['policy', 'people', 'machines'],
  dns: ['dns'],
  relays: ['advice', 'derpMap'],
  audit: ['audit'],
  settings: ['settings'],
}
const WEEK_MS = 7 * 86_400_000
/** Who is online is no change that is told; it is asked for. */
const REFRESH_MS = 15_000

const fetchers: { readonly [K in keyof Lists]: () => Promise<Lists[K]> } = {
  machines: api.machines,
  waiting: api.waiting,
  routes: api.routes,
  people: api.people,
  keys: api.keys,
  policy: api.policy,
  dns: api.dns,
  advice: api.advice,
  derpMap: api.derpMap,
  settings: api.settings,
  paths: api.paths,
  audit: () => api.audit(Date.now() - WEEK_MS),
}

const isStatus = (error: unknown, status: number): boolean => error instanceof Refusal && error.status === status

const placeInAddress = (): PlaceName => PLACES.find((name) => location.hash === `#${name}`) ?? 'machines'

export const useConsole = create<ConsoleState>(() => ({
  place: placeInAddress(),
  me: undefined,
  lists: {},
  trouble: undefined,
  toast: undefined,
}))

const set = useConsole.setState

export function say(toast: string): void {
  set({ toast })
}

/** Shown at the top of the page, in the server's words. */
export function fail(error: unknown): void {
  if (isStatus(error, 401)) set({ me: 'signed-out', lists: {} })
  else set({ trouble: error instanceof Error ? error.message : String(error) })
}

/** Auditors look. */
export const mayWrite = ({ me }: ConsoleState): boolean =>
  typeof me === 'object' && (me.role === 'owner' || me.role === 'admin')

export const dismissTrouble = (): void => set({ trouble: undefined })

async function load(name: keyof Lists): Promise<void> {
  try {
    const value = await fetchers[name]()
    set(({ lists }) => ({ lists: { ...lists, [name]: value } }))
  } catch (error) {
    fail(error)
  }
}

export async function refresh(): Promise<void> {
  await Promise.all(NEEDED[useConsole.getState().place].map((name) => load(name)))
}

/** Does something and looks again. True when it worked. */
export async function act(what: () => Promise<unknown>, done?: string): Promise<boolean> {
  set({ trouble: undefined })
  try {
    await what()
  } catch (error) {
    fail(error)
    return false
  }
  if (done !== undefined) say(done)
  await refresh()
  return true
}

const CHOSEN = 'tailnet'
/** Of several, another one; what is shown of the former goes at once. */
export let enterTailnet: (name: string) => void = () => {}

/** Begins to listen; returns what ends it. */
export function begin(): () => void {
  const onHash = (): void => {
    set({ place: placeInAddress(), trouble: undefined })
    void refresh()
  }
  window.addEventListener('hashchange', onHash)
  const timer = setInterval(() => {
    if (document.visibilityState === 'visible' && typeof useConsole.getState().me === 'object') void refresh()
  }, REFRESH_MS)
  let events: EventSource | undefined
  const enter = (name: string | undefined): void => {
    askAbout(name)
    events?.close()
    set({ lists: {}, trouble: undefined })
    void api.me().then(
      (me) => {
        set({ me })
        if (me.role === 'member') return
        void refresh()
        events = new EventSource(name === undefined ? '/api/v1/events' : `/api/v1/events?tailnet=${name}`)
        events.addEventListener('change', () => void refresh())
      },
      // Not a member of it any more.
      (error: unknown) => (name !== undefined && isStatus(error, 404) ? enter(undefined) : fail(error)),
    )
  }
  enterTailnet = (name) => {
    sessionStorage.setItem(CHOSEN, name)
    enter(name)
  }
  enter(sessionStorage.getItem(CHOSEN) ?? undefined)
  return () => {
    window.removeEventListener('hashchange', onHash)
    clearInterval(timer)
    events?.close()
  }
}
