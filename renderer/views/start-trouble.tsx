import { Note } from '../ui/note.tsx'
import { Way } from '../ui/way.tsx'
import { useActions, useUi } from '../use-app.ts'
import { splitMessage, words } from '../words.ts'

/** The agent itself did not start: nothing else can be shown, but why, and what to do. */
export function StartTrouble() {
  const { refresh, quit } = useActions()
  const failure = useUi((ui) => ui.failure)
  if (!failure) return <main className="pane" aria-busy="true" />
  return (
    <main className="pane">
      <div className="first-run">
        <Way drawing="apart" badge />
        <h1 className="display">{words.startTrouble.title}</h1>
        <div className="choices">
          <Note kind="bad" {...splitMessage(failure.message)} code={failure.code}>
            <button type="button" className="button" onClick={() => void refresh()}>
              {words.tryAgain}
            </button>
            <button type="button" className="button" onClick={quit}>
              {words.menu.quit}
            </button>
          </Note>
        </div>
      </div>
    </main>
  )
}
