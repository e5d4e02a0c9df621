import { Globe, History, KeyRound, type LucideIcon, Server, ShieldCheck, User, Users, Waypoints } from 'lucide-react'
import { useEffect } from 'react'
import { Icon } from '../ui/icon.tsx'
import { begin, type PlaceName, say, useConsole } from './store.ts'
import type { Me } from './types.ts'
import { AuditPlace } from './views/audit.tsx'
import { DnsPlace } from './views/dns.tsx'
import { KeysPlace } from './views/keys.tsx'
import { MachinesPlace } from './views/machines.tsx'
import { PeoplePlace } from './views/people.tsx'
import { PolicyPlace } from './views/policy.tsx'
import { RelaysPlace } from './views/relays.tsx'

const PLACES: readonly (readonly [PlaceName, string, LucideIcon, () => React.ReactNode])[] = [
  ['machines', 'Machines', Server, MachinesPlace],
  ['people', 'People', Users, PeoplePlace],
  ['keys', 'Keys', KeyRound, KeysPlace],
  ['policy', 'Policy', ShieldCheck, PolicyPlace],
  ['dns', 'DNS', Globe, DnsPlace],
  ['relays', 'Relays', Waypoints, RelaysPlace],
  ['audit', 'Audit', History, AuditPlace],
]
const TOAST_MS = 3_000

export function ConsoleFrame() {
  const me = useConsole((state) => state.me)
  useEffect(begin, [])
  if (me === undefined) return null
  if (me === 'signed-out') return <SignIn />
  if (me.role === 'member') return <NotForMembers me={me} />
  return <Inside me={me} />
}

function Inside({ me }: { readonly me: Me }) {
  const place = useConsole((state) => state.place)
  const [, , , View] = PLACES.find(([name]) => name === place) ?? PLACES[0] ?? []
  return (
    <div className="console">
      <nav className="side" aria-label="Console">
        <div className="net">
          <span className="tile" aria-hidden>
            {me.tailnet.slice(0, 1).toUpperCase()}
          </span>
          <span className="two">
            <b className="ell">{me.tailnet}</b>
            <small className="ell">{location.host}</small>
          </span>
        </div>
        {PLACES.map(([name, title, icon]) => (
          <a key={name} href={`#${name}`} aria-current={name === place ? 'page' : undefined}>
            <Icon of={icon} />
            <span>{title}</span>
          </a>
        ))}
        <span className="grow" />
        <a href="/account" className="own">
          <Icon of={User} />
          <span>{me.user ?? 'Account'}</span>
        </a>
      </nav>
      {View && <View />}
      <Toast />
    </div>
  )
}

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
