import {
  ChevronDown,
  Ellipsis,
  Globe,
  History,
  Inbox,
  KeyRound,
  type LucideIcon,
  Server,
  Settings2,
  ShieldCheck,
  User,
  Users,
  Waypoints,
} from 'lucide-react'
import { useEffect, useState } from 'react'
import { Icon } from '../ui/icon.tsx'
import { Select } from '../ui/select.tsx'
import { begin, enterTailnet, type Lists, type PlaceName, say, useConsole } from './store.ts'
import type { Me } from './types.ts'
import { ApprovalsPlace } from './views/approvals.tsx'
import { AuditPlace } from './views/audit.tsx'
import { DnsPlace } from './views/dns.tsx'
import { KeysPlace } from './views/keys.tsx'
import { MachinesPlace } from './views/machines.tsx'
import { PeoplePlace } from './views/people.tsx'
import { PolicyPlace } from './views/policy.tsx'
import { RelaysPlace } from './views/relays.tsx'
import { RestorePage, useIsRestoring } from './views/restore.tsx'
import { SettingsPlace } from './views/settings.tsx'

const PLACES: readonly (readonly [PlaceName, string, LucideIcon, () => React.ReactNode])[] = [
  ['machines', 'Machines', Server, MachinesPlace],
  ['approvals', 'Approvals', Inbox, ApprovalsPlace],
  ['people', 'People', Users, PeoplePlace],
  ['keys', 'Keys', KeyRound, KeysPlace],
  ['policy', 'Policy', ShieldCheck, PolicyPlace],
  ['dns', 'DNS', Globe, DnsPlace],
  ['relays', 'Relays', Waypoints, RelaysPlace],
  ['audit', 'Audit', History, AuditPlace],
  ['settings', 'Settings', Settings2, SettingsPlace],
]
/** What a phone's bar has room for, beside the way to the rest. */
const IN_BAR = 4
const TOAST_MS = 3_000

export function ConsoleFrame() {
  const me = useConsole((state) => state.me)
  const isRestoring = useIsRestoring()
  useEffect(begin, [])
  if (isRestoring) return <RestorePage />
  if (me === undefined) return null
  if (me === 'signed-out') return <SignIn />
  if (me.role === 'member') return <NotForMembers me={me} />
  return <Inside me={me} />
}

function Inside({ me }: { readonly me: Me }) {
  const place = useConsole((state) => state.place)
  const waits = useConsole(({ lists }) => waitCount(lists))
  const [isOpen, setOpen] = useState(false)
  const isInRest = PLACES.findIndex(([name]) => name === place) >= IN_BAR
  const [, , , View] = PLACES.find(([name]) => name === place) ?? PLACES[0] ?? []
  return (
    <div className="console">
      <nav className={isOpen ? 'side open' : 'side'} aria-label="Console">
        <div className="net">
          <span className="tile" aria-hidden>
            {me.tailnet.slice(0, 1).toUpperCase()}
          </span>
          <span className="two">
            <b className="ell">{me.tailnet}</b>
            <small className="ell">{location.host}</small>
          </span>
        </div>
        {me.tailnets.length > 1 && (
          <Select
            label="Network"
            value={me.tailnet}
            options={me.tailnets.map((name) => [name, name])}
            onChoose={(name) => enterTailnet(name)}
          />
        )}
        {PLACES.map(([name, title, icon], index) => (
          <a
            key={name}
            href={`#${name}`}
            className={index < IN_BAR ? '' : 'rest'}
            aria-current={name === place ? 'page' : undefined}
            onClick={() => setOpen(false)}
          >
            <Icon of={icon} />
            <span>{title}</span>
            {name === 'approvals' && waits > 0 && <span className="count">{waits}</span>}
          </a>
        ))}
        <span className="grow" />
        <a href="/account" className="own rest">
          <Icon of={User} />
          <span>{me.user ?? 'Account'}</span>
        </a>
        <button
          type="button"
          className={isInRest ? 'more here' : 'more'}
          aria-expanded={isOpen}
          onClick={() => setOpen(!isOpen)}
        >
          <Icon of={isOpen ? ChevronDown : Ellipsis} />
          <span>{isOpen ? 'Less' : 'More'}</span>
        </button>
      </nav>
      {View && <View />}
      <Toast />
    </div>
  )
}

const waitCount = ({ machines = [], waiting = [], routes = [] }: Partial<Lists>): number =>
  machines.filter(({ approved }) => !approved).length +
  waiting.length +
  routes.filter(({ announced, state }) => announced && state === 'waiting').length

function Toast() {
  const toast = useConsole((state) => state.toast)
  useEffect(() => {
    if (toast === undefined) return undefined
    const timer = setTimeout(() => say(''), TOAST_MS)
    return () => clearTimeout(timer)
  }, [toast])
  return (
    <div className="said" role="status" aria-live="polite">
      {toast !== undefined && toast !== '' && <span className="toast">{toast}</span>}
    </div>
  )
}

const SignIn = () => (
  <main className="alone">
    <h1>Sign in</h1>
    <p className="dim">The console shows machines, people and rules to who runs this network.</p>
    <a className="button primary large" href="/account">
      Sign in
    </a>
    <p className="faint small">Then come back to this address.</p>
  </main>
)

const NotForMembers = ({ me }: { readonly me: Me }) => (
  <main className="alone">
    <h1>Not for members</h1>
    <p className="dim">
      {me.user ?? 'You'} can use the network, and an owner or administrator runs it. Ask one of them.
    </p>
    <a className="button large" href="/account">
      Your account
    </a>
  </main>
)
