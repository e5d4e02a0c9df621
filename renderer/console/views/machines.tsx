import { Plus, Server } from 'lucide-react'
import { useRef, useState } from 'react'
import { deviceKind } from '../../model/machines.ts'
import { EmptyState } from '../../ui/empty-state.tsx'
import { DeviceIcon, Icon } from '../../ui/icon.tsx'
import { SearchField } from '../../ui/search-field.tsx'
import { Select } from '../../ui/select.tsx'
import { api } from '../api.ts'
import { apart, Loading, Place, Sure, Writes } from '../parts.tsx'
import { act, mayWrite, useConsole } from '../store.ts'
import type { Machine, Route } from '../types.ts'
import { HeldNote, WaitingNote } from './approvals.tsx'

const FILTERS = ['All', 'Online', 'Expiring'] as const
type Filter = (typeof FILTERS)[number]
const SOON_MS = 14 * 86_400_000

const expiresSoon = ({ expiresAt, expired }: Machine): boolean =>
  expired || (expiresAt !== undefined && Date.parse(expiresAt) - Date.now() < SOON_MS)

const IS: Readonly<Record<Filter, (machine: Machine) => boolean>> = {
  All: () => true,
  Online: ({ online }) => online,
  Expiring: expiresSoon,
}

export function MachinesPlace() {
  const { machines, waiting = [], routes = [] } = useConsole((state) => state.lists)
  const [filter, setFilter] = useState<Filter>('All')
  const [search, setSearch] = useState('')
  const [chosen, setChosen] = useState<number>()
  const isMine = useConsole(mayWrite)
  const field = useRef<HTMLInputElement>(null)
  const found = (machines ?? []).filter((machine) => {
    const { name, user, os, addresses, tags } = machine
    const text = [name, user, os, ...addresses, ...tags].join(' ').toLowerCase()
    return IS[filter](machine) && text.includes(search.trim().toLowerCase())
  })
  const aside = (
    <>
      <SearchField ref={field} text={search} onText={setSearch} onDown={() => {}} />
      {isMine && (
        <a className="button primary" href="#keys">
          <Icon of={Plus} />
          Add a machine
        </a>
      )}
    </>
  )
  return (
    <Place title="Machines" aside={aside}>
      {(machines ?? []).flatMap((machine) =>
        machine.approved ? [] : [<HeldNote key={machine.id} machine={machine} />],
      )}
      {waiting.map((login) => (
        <WaitingNote key={login.id} login={login} />
      ))}
      {machines === undefined ? (
        <Loading />
      ) : (
        <>
          <div className="segments" role="group" aria-label="Which machines">
            {FILTERS.map((name) => (
              <button key={name} type="button" aria-pressed={name === filter} onClick={() => setFilter(name)}>
                {name} <span className="num">{machines.filter(IS[name]).length}</span>
              </button>
            ))}
          </div>
          {found.length === 0 ? (
            <EmptyState
              icon={Server}
              title={machines.length === 0 ? 'No machines yet' : 'No machine matches'}
              text={
                machines.length === 0
                  ? 'Make a key, and join with it on the machine.'
                  : 'Search for less, or look at all.'
              }
            />
          ) : (
            <MachineTable machines={found} routes={routes} chosen={chosen} onChoose={setChosen} />
          )}
        </>
      )}
    </Place>
  )
}

interface TableProps {
  readonly machines: readonly Machine[]
  readonly routes: readonly Route[]
  readonly chosen: number | undefined
  readonly onChoose: (id: number | undefined) => void
}

function MachineTable({ machines, routes, chosen, onChoose }: TableProps) {
  return (
    <div className="card table">
      <table className="of-machines">
        <thead>
          <tr>
            <th>Machine</th>
            <th>Owner</th>
            <th>Address</th>
            <th>System</th>
            <th>Reaches others</th>
            <th>Client</th>
            <th>Seen</th>
          </tr>
        </thead>
        <tbody>
          {machines.map((machine) => (
            <MachineRows
              key={machine.id}
              machine={machine}
              routes={routes.filter(({ nodeId }) => nodeId === machine.id)}
              isOpen={machine.id === chosen}
              onToggle={() => onChoose(machine.id === chosen ? undefined : machine.id)}
            />
          ))}
        </tbody>
      </table>
    </div>
  )
}

/** By pairs; a word and the colour of the path, as everywhere. */
function Reaches({ machine: { id, online } }: { readonly machine: Machine }) {
  const paths = useConsole((state) => state.lists.paths)?.find(({ nodeId }) => nodeId === id)
  if (!online) return <span className="faint">offline</span>
  if (!paths || paths.direct + paths.peerRelay + paths.derp === 0)
    return (
      <span className="faint" title="Neither this machine nor one it talks to has told in the last 15 minutes.">
        unknown
      </span>
    )
  const { direct, peerRelay, derp } = paths
  return (
    <span className="reaches">
      {direct > 0 && <span className="is-direct">{direct} direct</span>}
      {peerRelay > 0 && <span className="is-relay">{peerRelay} by relay</span>}
      {derp > 0 && <span className="is-derp">{derp} DERP</span>}
    </span>
  )
}

interface RowProps {
  readonly machine: Machine
  readonly routes: readonly Route[]
  readonly isOpen: boolean
  readonly onToggle: () => void
}

function MachineRows({ machine, routes, isOpen, onToggle }: RowProps) {
  const { name, user, tags, addresses, online, lastSeen, os, clientVersion, expired, expiresAt } = machine
  const whose = tags.length > 0 ? tags.join(' ') : user
  const waits = routes.filter(({ state, announced }) => announced && state === 'waiting').length
  const badges = [
    ...(machine.approved ? [] : ['waits for approval']),
    ...(expired
      ? ['key ended']
      : expiresSoon(machine) && expiresAt !== undefined
        ? [`key ends ${apart(expiresAt)}`]
        : []),
    ...(waits > 0 ? [`${waits} ${waits === 1 ? 'route waits' : 'routes wait'}`] : []),
    ...(machine.ephemeral ? ['ephemeral'] : []),
  ]
  return (
    <>
      <tr className={isOpen ? 'open' : ''}>
        <td>
          <button type="button" className="name" aria-expanded={isOpen} onClick={onToggle}>
            <DeviceIcon kind={deviceKind({ name, os, tags })} />
            <span className="named">
              <b className="ell">{name}</b>
              <small className="beneath num ell">
                {whose} · {addresses[0]}
              </small>
            </span>
            {badges.map((badge) => (
              <span key={badge} className="tag">
                {badge}
              </span>
            ))}
          </button>
        </td>
        <td className={tags.length > 0 ? 'faint' : ''}>{whose}</td>
        <td className="num selectable">{addresses[0]}</td>
        <td className="dim">{os}</td>
        <td className="num">
          <Reaches machine={machine} />
        </td>
        <td className="dim num">{clientVersion.split('-')[0]}</td>
        <td className="dim num">{online ? 'now' : lastSeen === undefined ? 'never' : apart(lastSeen)}</td>
      </tr>
      {isOpen && (
        <tr className="detail">
          <td colSpan={7}>
            <MachineDetail machine={machine} routes={routes} />
          </td>
        </tr>
      )}
    </>
  )
}

function MachineDetail({ machine, routes }: { readonly machine: Machine; readonly routes: readonly Route[] }) {
  const people = useConsole((state) => state.lists.people) ?? []
  const [name, setName] = useState(machine.name)
  const [tags, setTags] = useState(machine.tags.join(' '))
  const wanted = tags.split(/[\s,]+/).filter((tag) => tag !== '')
  return (
    <div className="detail-grid">
      <dl>
        <dt>Name in DNS</dt>
        <dd className="selectable">{machine.dnsName}</dd>
        <dt>Addresses</dt>
        <dd className="selectable num">{machine.addresses.join(', ')}</dd>
        <dt>Reached at</dt>
        <dd className="selectable num">{machine.endpoints.join(', ') || '–'}</dd>
        <dt>Reaches others</dt>
        <dd>
          <Reaches machine={machine} />
        </dd>
        <dt>Joined</dt>
        <dd>{apart(machine.createdAt)}</dd>
        <dt>Key</dt>
        <dd>{machine.expiresAt === undefined ? 'does not end by itself' : `ends ${apart(machine.expiresAt)}`}</dd>
      </dl>
      <Writes>
        {routes.length > 0 && (
          <ul className="routes" aria-label="Routes">
            {routes.map(({ route, kind, state, serving, announced }) => (
              <li key={route}>
                <span className="num">{route}</span>
                <span className="faint">
                  {kind === 'exit' ? 'to the internet' : 'a network behind it'}
                  {serving ? ', in use' : announced ? '' : ', not announced now'}
                </span>
                {state === 'approved' ? (
                  <button
                    type="button"
                    className="button"
                    onClick={() => void act(() => api.revoke(machine.id, [route]), `${route} is revoked.`)}
                  >
                    Revoke
                  </button>
                ) : (
                  <button
                    type="button"
                    className="button"
                    onClick={() => void act(() => api.approve(machine.id, [route]), `${route} is approved.`)}
                  >
                    Approve
                  </button>
                )}
              </li>
            ))}
          </ul>
        )}
        <form
          onSubmit={(event) => {
            event.preventDefault()
            void act(() => api.rename(machine.id, name), `It is called ${name} now.`)
          }}
        >
          <label className="field">
            <span className="label">Name</span>
            <span className="input">
              <input value={name} maxLength={63} spellCheck={false} onChange={(event) => setName(event.target.value)} />
            </span>
          </label>
          <button type="submit" className="button" disabled={name === machine.name || name === ''}>
            Rename
          </button>
        </form>
        <form
          onSubmit={(event) => {
            event.preventDefault()
            void act(
              () => api.tag(machine.id, wanted),
              wanted.length > 0 ? 'It has the tags.' : 'It is a person’s again.',
            )
          }}
        >
          <label className="field">
            <span className="label">Tags, instead of an owner</span>
            <span className="input">
              <input
                value={tags}
                placeholder="tag:server"
                spellCheck={false}
                onChange={(event) => setTags(event.target.value)}
              />
            </span>
          </label>
          <button type="submit" className="button" disabled={wanted.join(' ') === machine.tags.join(' ')}>
            Set
          </button>
        </form>
        <div className="buttons">
          <Select
            label={`Owner of ${machine.name}`}
            value={machine.user}
            options={people.map((person) => [person.name, `Owner: ${person.name}`])}
            onChoose={(user) => void act(() => api.move(machine.id, user), `It belongs to ${user} now.`)}
          />
          <Sure
            label="End its key"
            sure="End it: the machine has to sign in again"
            onSure={() => void act(() => api.expire(machine.id), 'Its key has ended.')}
          />
          <Sure
            label="Forget"
            sure={`Forget ${machine.name}`}
            onSure={() => void act(() => api.forget(machine.id), `${machine.name} is forgotten.`)}
          />
        </div>
      </Writes>
    </div>
  )
}
