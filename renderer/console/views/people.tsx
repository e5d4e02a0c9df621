import { useState } from 'react'
import { Select } from '../../ui/select.tsx'
import { api } from '../api.ts'
import { apart, Loading, Once, Place, Sure, Writes } from '../parts.tsx'
import { act, useConsole } from '../store.ts'
import type { Me, Person } from '../types.ts'

const ROLES = ['member', 'auditor', 'admin', 'owner'] as const
const roleOptions = ROLES.map((role) => [role, role] as const)

export function PeoplePlace() {
  const people = useConsole((state) => state.lists.people)
  const me = useConsole((state) => state.me)
  const [name, setName] = useState('')
  const [role, setRole] = useState<string>('member')
  const [link, setLink] = useState<{ readonly name: string; readonly url: string }>()
  const invite = (who: string) => async (): Promise<void> => {
    const { url } = await api.invite(who)
    setLink({ name: who, url })
  }
  return (
    <Place title="People">
      {link && (
        <Once
          title={`With this link ${link.name} sets how to sign in. It works once; hand it over by a way you trust.`}
          text={link.url}
          onDone={() => setLink(undefined)}
        />
      )}
      <Writes>
        <form
          className="line"
          onSubmit={(event) => {
            event.preventDefault()
            void act(async () => {
              await api.addPerson(name, role)
              await invite(name)()
            }).then((isDone) => isDone && setName(''))
          }}
        >
          <label className="field grow">
            <span className="label">Invite somebody</span>
            <span className="input">
              <input
                value={name}
                maxLength={64}
                placeholder="name"
                spellCheck={false}
                onChange={(event) => setName(event.target.value)}
              />
            </span>
          </label>
          <Select
            label="Role"
            value={role}
            options={typeof me === 'object' ? rolesFor(me) : roleOptions}
            onChoose={setRole}
          />
          <button type="submit" className="button primary" disabled={name.trim() === ''}>
            Invite
          </button>
        </form>
      </Writes>
      {people === undefined || typeof me !== 'object' ? (
        <Loading />
      ) : (
        <PeopleTable me={me} people={people} onInvite={(who) => void act(invite(who))} />
      )}
    </Place>
  )
}

/** Administrators run the network; it belongs to its owners. */
const mayChange = (me: Me, role: string): boolean => me.role === 'owner' || (me.role === 'admin' && role !== 'owner')

const rolesFor = (me: Me): typeof roleOptions =>
  me.role === 'owner' ? roleOptions : roleOptions.filter(([one]) => one !== 'owner')

function PeopleTable({
  me,
  people,
  onInvite,
}: {
  readonly me: Me
  readonly people: readonly Person[]
  readonly onInvite: (name: string) => void
}) {
  return (
    <div className="card table">
      <table>
        <thead>
          <tr>
            <th>Name</th>
            <th>Role</th>
            <th>Machines</th>
            <th>Since</th>
            <th className="act">
              <span className="unseen">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {people.map(({ id, name, displayName, role, nodes, createdAt }) => (
            <tr key={id}>
              <td>
                <b>{displayName}</b>
                {displayName !== name && <span className="faint"> {name}</span>}
              </td>
              <td className="dim">
                {mayChange(me, role) ? (
                  <Select
                    label={`Role of ${displayName}`}
                    value={role}
                    options={rolesFor(me)}
                    onChoose={(to) => void act(() => api.setRole(name, to), `${displayName} is ${to} now.`)}
                  />
                ) : (
                  role
                )}
              </td>
              <td className="num">{nodes}</td>
              <td className="dim num">{apart(createdAt)}</td>
              <td className="act">
                {mayChange(me, role) && (
                  <button type="button" className="button" onClick={() => onInvite(name)}>
                    Sign-in link
                  </button>
                )}
                {nodes === 0 && mayChange(me, role) && (
                  <Sure
                    label="Remove"
                    sure={`Remove ${name}`}
                    onSure={() => void act(() => api.removePerson(name), `${name} is removed.`)}
                  />
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
