import { ShieldCheck } from 'lucide-react'
import { useState } from 'react'
import { EmptyState } from '../../ui/empty-state.tsx'
import { Select } from '../../ui/select.tsx'
import { api } from '../api.ts'
import { apart, Loading, Place, Sure } from '../parts.tsx'
import { act, mayWrite, useConsole } from '../store.ts'
import type { Machine, Route, Waiting } from '../types.ts'

/** All that waits for a decision: machines at the door, machines inside, and networks that machines offer. */
export function ApprovalsPlace() {
  const { machines, waiting = [], routes = [] } = useConsole((state) => state.lists)
  const severalTailnets = useConsole(({ me }) => typeof me === 'object' && me.tailnets.length > 1)
  const held = (machines ?? []).filter(({ approved }) => !approved)
  const offered = routes.filter(({ announced, state }) => announced && state === 'waiting')
  if (machines === undefined)
    return (
      <Place title="Approvals">
        <Loading />
      </Place>
    )
  return (
    <Place title="Approvals">
      {held.length + waiting.length + offered.length === 0 && (
        <EmptyState
          icon={ShieldCheck}
          title="Nothing waits"
          text="Machines that need approval, and networks they offer, stand here."
        />
      )}
      {held.map((machine) => (
        <HeldNote key={machine.id} machine={machine} />
      ))}
      {waiting.map((login) => (
        <WaitingNote key={login.id} login={login} />
      ))}
      {offered.map((route) => (
        <RouteNote key={`${route.nodeId} ${route.route}`} route={route} />
      ))}
      {severalTailnets && <ByAddress />}
    </Place>
  )
}

/** Signed in, and kept apart from all others until somebody approves it. */
export function HeldNote({ machine }: { readonly machine: Machine }) {
  const { id, name, user, tags, os, createdAt } = machine
  const isMine = useConsole(mayWrite)
  return (
    <div className="note info">
      <div className="body">
        <b>{name}</b> waits for approval. {tags.length > 0 ? tags.join(' ') : `A machine of ${user}`},{' '}
        {os || 'unknown system'}, joined {apart(createdAt)}. Until then it reaches nobody.
      </div>
      {isMine && (
        <div className="buttons">
          <Sure
            label="Refuse"
            sure={`Forget ${name}`}
            onSure={() => void act(() => api.forget(id), `${name} is forgotten.`)}
          />
          <button
            type="button"
            className="button"
            aria-label={`Approve ${name}`}
            onClick={() => void act(() => api.approveMachine(id), `${name} is approved.`)}
          >
            Approve
          </button>
        </div>
      )}
    </div>
  )
}

/** Not signed in: somebody has to say whose it is. */
export function WaitingNote({ login }: { readonly login: Waiting }) {
  const people = useConsole((state) => state.lists.people) ?? []
  const me = useConsole((state) => state.me)
  const isMine = useConsole(mayWrite)
  const own = typeof me === 'object' ? me.user : undefined
  const [user, setUser] = useState<string>()
  const whose = user ?? own ?? people[0]?.name ?? ''
  return (
    <div className="note info">
      <div className="body">
        <b>{login.hostname}</b> waits to be let in. {login.os}, asked {apart(login.createdAt)} from {login.source}.
      </div>
      {isMine && (
        <>
          <Select
            label={`Whose ${login.hostname} is`}
            value={whose}
            options={people.map(({ name }) => [name, name])}
            onChoose={setUser}
          />
          <button
            type="button"
            className="button"
            onClick={() => void act(() => api.letIn(login.id, whose), `${login.hostname} is in.`)}
          >
            Let it in
          </button>
        </>
      )}
    </div>
  )
}

function RouteNote({ route: { node, nodeId, route, kind } }: { readonly route: Route }) {
  const isMine = useConsole(mayWrite)
  return (
    <div className="note info">
      <div className="body">
        <b>{node}</b> offers {kind === 'exit' ? `a way to the internet (${route})` : `the network ${route}`}.
      </div>
      {isMine && (
        <button
          type="button"
          className="button"
          aria-label={`Approve ${route} of ${node}`}
          onClick={() => void act(() => api.approve(nodeId, [route]), `${route} is approved.`)}
        >
          Approve
        </button>
      )}
    </div>
  )
}

/** With several networks a machine at the door belongs to none of them yet: its page's address says which machine is meant. */
function ByAddress() {
  const me = useConsole((state) => state.me)
  const [address, setAddress] = useState('')
  const id = /([A-Za-z0-9_-]{8,64})\/?$/.exec(address.trim())?.[1]
  if (typeof me !== 'object' || me.user === undefined) return null
  const { user, tailnet } = me
  return (
    <form
      className="line"
      onSubmit={(event) => {
        event.preventDefault()
        if (id !== undefined)
          void act(() => api.letIn(id, user), `It is in ${tailnet}.`).then((isDone) => isDone && setAddress(''))
      }}
    >
      <label className="field grow">
        <span className="label">Let a machine of yours into {tailnet}: the address it shows</span>
        <span className="input">
          <input value={address} spellCheck={false} onChange={(event) => setAddress(event.target.value)} />
        </span>
      </label>
      <button type="submit" className="button" disabled={id === undefined}>
        Let it in
      </button>
    </form>
  )
}
