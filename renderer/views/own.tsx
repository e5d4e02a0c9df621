import { Circle, CircleCheck, CircleX, LoaderCircle } from 'lucide-react'
import { useEffect } from 'react'
import { Icon } from '../ui/icon.tsx'
import { Note } from '../ui/note.tsx'
import { Page } from '../ui/page.tsx'
import { useActions, useUi } from '../use-app.ts'
import { splitMessage, words } from '../words.ts'

type StepState = 'later' | 'now' | 'done' | 'failed'

const ICONS = { later: Circle, now: LoaderCircle, done: CircleCheck, failed: CircleX }

/** The own network on its way: three steps, each said when it is reached. */
export function Own() {
  const { home, startOwn } = useActions()
  const own = useUi((ui) => ui.own)
  const agent = useUi((ui) => ui.agent)
  const failure = useUi((ui) => ui.failure)
  const isReady = own?.state === 'running' && agent?.state === 'running'
  useEffect(() => {
    if (isReady) home()
  }, [isReady, home])

  const problem =
    failure ?? (own?.state === 'failed' ? own.problem : own?.state === 'running' ? agent?.problem : undefined)
  const text = words.own
  const isServerUp = own?.state === 'running'
  const hasMap = agent?.state === 'running' || agent?.waitingFor === 'the network map'
  const now = (isDone: boolean, isReached: boolean): StepState =>
    isDone ? 'done' : !isReached ? 'later' : problem ? 'failed' : 'now'
  const steps: readonly [string, StepState][] = [
    [text.serverStep, now(isServerUp, true)],
    [text.joinStep, now(isServerUp && hasMap, isServerUp)],
    [text.readyStep, now(isReady, isServerUp && hasMap)],
  ]
  return (
    <Page title={text.title} onBack={home}>
      <div className="first">
        <h2 className="display">{problem ? text.failed : text.starting}</h2>
        <p className="dim gap-2">{text.startingText}</p>
      </div>
      {problem && (
        <Note kind="bad" {...splitMessage(problem.message)} code={problem.code}>
          <button type="button" className="button" onClick={() => void startOwn()}>
            {words.tryAgain}
          </button>
        </Note>
      )}
      <ol className="card gap-5" aria-live="polite">
        {steps.map(([name, state]) => (
          <li key={name} className={`step ${state}`}>
            <Icon of={ICONS[state]} />
            <span>{name}</span>
          </li>
        ))}
      </ol>
    </Page>
  )
}
