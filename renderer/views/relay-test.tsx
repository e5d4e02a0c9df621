import { Check, CircleX, type LucideIcon, Minus, TriangleAlert } from 'lucide-react'
import { useState } from 'react'
import type { RelayTestStep, RelayTestView } from '../../electron/contract/relay-test-view.ts'
import { useNow } from '../hooks/use-now.ts'
import { agoText } from '../../electron/contract/time-words.ts'
import { seriousStep } from '../model/relay-test.ts'
import { Icon } from '../ui/icon.tsx'
import { useActions, useUi } from '../use-app.ts'
import { words } from '../words.ts'

const SIGNS: Readonly<Record<RelayTestStep['result'], LucideIcon>> = {
  ok: Check,
  limited: TriangleAlert,
  failed: CircleX,
  untested: Minus,
}

/** Whether others get in, tried by others. */
export function RelayTest() {
  const { testRelay } = useActions()
  const { isBusy, atMs, view } = useUi((ui) => ui.relayTest)
  const nowMs = useNow()
  const [showsCalm, setShowsCalm] = useState(false)
  const text = words.relay.test
  // What keeps others away is told above, with what to do.
  const serious = view && seriousStep(view)
  return (
    <>
      <h2 className="section">
        {text.title}
        <span className="right">
          {view && !isBusy && `${agoText(atMs, nowMs)} · `}
          {isBusy ? (
            text.running
          ) : (
            <button type="button" className="link" onClick={() => void testRelay()}>
              {view ? text.again : text.run}
            </button>
          )}
        </span>
      </h2>
      {!view && <p className="dim">{text.about}</p>}
      {view &&
        (isCalm(view) && !showsCalm ? (
          <p className="dim">
            {text.passed(...countsOf(view))}{' '}
            <button type="button" className="link" onClick={() => setShowsCalm(true)}>
              {text.show}
            </button>
          </p>
        ) : (
          <ul className="card test-steps" aria-busy={isBusy}>
            {view.steps.map((step) => (
              <li key={step.name} className={`row ${step.result}`}>
                <Icon of={SIGNS[step.result]} />
                <span className="grow">
                  <b>{text.steps[step.name]}</b>
                  <span className="unseen">{text.results[step.result]}</span>
                  {step !== serious && <small>{step.text}</small>}
                </span>
              </li>
            ))}
          </ul>
        ))}
    </>
  )
}

/** Nothing that anyone has to do something about. */
const isCalm = ({ steps }: RelayTestView): boolean =>
  steps.every(({ result }) => result === 'ok' || result === 'untested')

function countsOf({ steps }: RelayTestView): [passed: number, untried: number] {
  const count = (wanted: RelayTestStep['result']): number => steps.filter(({ result }) => result === wanted).length
  return [count('ok'), count('untested')]
}
