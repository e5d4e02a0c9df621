import { KeyRound } from 'lucide-react'
import { useState } from 'react'
import { EmptyState } from '../../ui/empty-state.tsx'
import { Select } from '../../ui/select.tsx'
import { api } from '../api.ts'
import { apart, Loading, Once, Place, Sure, Writes } from '../parts.tsx'
import { act, useConsole } from '../store.ts'
import type { AuthKey } from '../types.ts'

const HOUR_MS = 3_600_000
const LIVES: readonly (readonly [string, string])[] = [
  [String(HOUR_MS), 'for an hour'],
  [String(24 * HOUR_MS), 'for a day'],
  [String(30 * 24 * HOUR_MS), 'for 30 days'],
]

export function KeysPlace() {
  const { keys, people = [] } = useConsole((state) => state.lists)
  const me = useConsole((state) => state.me)
  const own = typeof me === 'object' ? me.user : undefined
  const [user, setUser] = useState<string>()
  const [life, setLife] = useState(String(24 * HOUR_MS))
  const [isReusable, setReusable] = useState(false)
  const [isPreApproved, setPreApproved] = useState(false)
  const [secret, setSecret] = useState<string>()
  const whose = user ?? own ?? people[0]?.name ?? ''
  return (
    <Place title="Keys">
      {secret !== undefined && (
        <Once
          title="On the machine, type this. It is not shown again."
          text={`peerway up --login-server ${location.origin} --auth-key ${secret}`}
          onDone={() => setSecret(undefined)}
        />
      )}
      <Writes>
        <form
          className="line"
          onSubmit={(event) => {
            event.preventDefault()
            void act(async () => {
              const made = await api.makeKey({
                user: whose,
                reusable: isReusable,
                preApproved: isPreApproved,
                lifeMs: Number(life),
              })
              setSecret(made.key)
            })
          }}
        >
          <Select
            label="Whose machine"
            value={whose}
            options={people.map(({ name }) => [name, `A machine of ${name}`])}
            onChoose={setUser}
          />
          <Select label="How long" value={life} options={LIVES} onChoose={setLife} />
          <label className="check">
            <input type="checkbox" checked={isReusable} onChange={(event) => setReusable(event.target.checked)} />
            for several machines
          </label>
          <label className="check">
            <input type="checkbox" checked={isPreApproved} onChange={(event) => setPreApproved(event.target.checked)} />
            approved beforehand
          </label>
          <span className="grow" />
          <button type="submit" className="button primary" disabled={whose === ''}>
            Make a key
          </button>
        </form>
        {keys === undefined ? <Loading /> : <KeysTable keys={keys} />}
      </Writes>
    </Place>
  )
}

function KeysTable({ keys }: { readonly keys: readonly AuthKey[] }) {
  if (keys.length === 0)
    return (
      <EmptyState icon={KeyRound} title="No keys" text="With a key a machine joins without anybody signing in on it." />
    )
  return (
    <div className="card table">
      <table className="of-keys">
        <thead>
          <tr>
            <th>Key</th>
            <th>Machines of</th>
            <th>For</th>
            <th>State</th>
            <th>Until</th>
            <th className="act">
              <span className="unseen">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {keys.map(({ id, user, tags, reusable, ephemeral, state, expiresAt }) => (
            <tr key={id}>
              <td className="mono">{id}</td>
              <td>{tags.length > 0 ? tags.join(' ') : user}</td>
              <td className="dim">
                {reusable ? 'several machines' : 'one machine'}
                {ephemeral ? ', ephemeral' : ''}
              </td>
              <td className={state === 'valid' ? '' : 'faint'}>{state}</td>
              <td className="dim num">{expiresAt === undefined ? '–' : apart(expiresAt)}</td>
              <td className="act">
                {state === 'valid' && (
                  <Sure
                    label="Revoke"
                    sure="Revoke it"
                    onSure={() => void act(() => api.revokeKey(id), 'The key lets nobody in any more.')}
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
