import { useState } from 'react'
import { api, type Problem, Refusal } from '../api.ts'
import { apart, Loading, Place } from '../parts.tsx'
import { act, useConsole } from '../store.ts'
import type { PolicyEffects, PolicyText } from '../types.ts'

export function PolicyPlace() {
  const policy = useConsole((state) => state.lists.policy)
  return (
    <Place title="Policy">
      {policy === undefined ? <Loading /> : <Editor key={policy.revision} policy={policy} />}
    </Place>
  )
}

type Tried =
  | { readonly text: string; readonly effects: PolicyEffects }
  | { readonly text: string; readonly problems: readonly Problem[] }

/** A change is tried first: who gains and who loses what; then it can be put in force. */
function Editor({ policy }: { readonly policy: PolicyText }) {
  const [text, setText] = useState(policy.text)
  const [tried, setTried] = useState<Tried>()
  const isTried = tried?.text === text && 'effects' in tried
  const tryIt = (): Promise<boolean> =>
    act(async () => {
      try {
        setTried({ text, effects: await api.tryPolicy(text) })
      } catch (error) {
        if (!(error instanceof Refusal) || error.problems.length === 0) throw error
        setTried({ text, problems: error.problems })
      }
    })
  return (
    <div className="policy">
      <p className="faint small">
        {policy.savedAt === undefined
          ? 'No policy has been set: everyone may reach everyone.'
          : `Revision ${policy.revision}, put in force ${apart(policy.savedAt)} by ${policy.by ?? 'somebody'}.`}
      </p>
      <textarea
        className="mono selectable"
        aria-label="Policy, in HuJSON"
        spellCheck={false}
        value={text}
        rows={Math.min(Math.max(text.split('\n').length + 1, 14), 34)}
        onChange={(event) => setText(event.target.value)}
      />
      {tried && <Outcome tried={tried} isCurrent={tried.text === text} />}
      <div className="buttons">
        <button type="button" className="button" disabled={text === policy.text} onClick={() => void tryIt()}>
          What would change?
        </button>
        <button
          type="button"
          className="button primary"
          disabled={!isTried || text === policy.text}
          onClick={() => void act(() => api.setPolicy(text, policy.revision), 'The policy is in force.')}
        >
          Put in force
        </button>
        <button
          type="button"
          className="button quiet"
          disabled={text === policy.text}
          onClick={() => setText(policy.text)}
        >
          Discard
        </button>
      </div>
    </div>
  )
}

function Outcome({ tried, isCurrent }: { readonly tried: Tried; readonly isCurrent: boolean }) {
  if (!isCurrent) return <p className="faint small">Changed since it was tried.</p>
  if ('problems' in tried)
    return (
      <div className="note bad" role="alert">
        <div className="body">
          <b>This cannot be put in force</b>
          <ul>
            {tried.problems.map(({ line, column, message }) => (
              <li key={`${line}:${column}:${message}`}>
                Line {line}, column {column}: {message}
              </li>
            ))}
          </ul>
        </div>
      </div>
    )
  const { effects, isCut } = tried.effects
  if (effects.length === 0)
    return (
      <p className="note info" role="status">
        Nothing changes for the machines there are.
      </p>
    )
  return (
    <div className="card table" role="status">
      <table>
        <thead>
          <tr>
            <th>From</th>
            <th>To</th>
            <th>Gains</th>
            <th>Loses</th>
          </tr>
        </thead>
        <tbody>
          {effects.slice(0, 200).map(({ from, to, gains, loses }) => (
            <tr key={`${from} ${to}`}>
              <td>{from}</td>
              <td>{to}</td>
              <td className="gain">{gains.join(' ') || '–'}</td>
              <td className="loss">{loses.join(' ') || '–'}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {(isCut || effects.length > 200) && <p className="faint small pad">There is more than fits here.</p>}
    </div>
  )
}
