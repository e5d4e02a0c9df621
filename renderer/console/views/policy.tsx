import { useRef, useState } from 'react'
import { api, type Problem, Refusal } from '../api.ts'
import { apart, Loading, Place } from '../parts.tsx'
import { PolicyText as PolicyField } from '../policy-text.tsx'
import { act, mayWrite, useConsole } from '../store.ts'
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
  const isWrong = tried?.text === text && 'problems' in tried
  const field = useRef<HTMLTextAreaElement>(null)
  const isMine = useConsole(mayWrite)
  const people = useConsole((state) => state.lists.people) ?? []
  // A person by their number, and where they asked from; else a program or the command line.
  const [, by] = /^user:(\d+)(?= |$)/.exec(policy.by ?? '') ?? []
  const author = people.find(({ id }) => String(id) === by)?.displayName ?? policy.by ?? 'somebody'
  const goTo = ({ line, column }: Problem): void => {
    const lines = text.split('\n')
    const at = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0) + column - 1
    field.current?.focus()
    field.current?.setSelectionRange(at, at)
  }
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
          : `Revision ${policy.revision}, put in force ${apart(policy.savedAt)} by ${author}.`}
      </p>
      <PolicyField ref={field} text={text} onText={setText} problems={isWrong ? tried.problems : []} />
      {tried && <Outcome tried={tried} isCurrent={tried.text === text} onProblem={goTo} />}
      <div className="buttons">
        <button type="button" className="button" disabled={text === policy.text} onClick={() => void tryIt()}>
          What would change?
        </button>
        <button
          type="button"
          className="button primary"
          disabled={!isMine || !isTried || text === policy.text}
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

interface OutcomeProps {
  readonly tried: Tried
  readonly isCurrent: boolean
  readonly onProblem: (problem: Problem) => void
}

function Outcome({ tried, isCurrent, onProblem }: OutcomeProps) {
  if (!isCurrent) return <p className="faint small">Changed since it was tried.</p>
  if ('problems' in tried)
    return (
      <div className="note bad" role="alert">
        <div className="body">
          <b>This cannot be put in force</b>
          <ul>
            {tried.problems.map((problem) => (
              <li key={`${problem.line}:${problem.column}:${problem.message}`}>
                <button type="button" className="link" onClick={() => onProblem(problem)}>
                  Line {problem.line}, column {problem.column}
                </button>
                : {problem.message}
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
    <div className="card table">
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
