import { ChevronRight, House, Link } from 'lucide-react'
import { Icon } from '../ui/icon.tsx'
import { Way } from '../ui/way.tsx'
import { useActions, useUi } from '../use-app.ts'
import { words } from '../words.ts'

/** Two choices, the own network first. */
export function FirstRun() {
  const { startOwn, open } = useActions()
  const hasOwn = useUi(({ own }) => own !== undefined && own.state !== 'absent')
  const text = words.firstRun
  return (
    <main className="pane">
      <div className="first-run">
        <Way drawing="joined" />
        <h1 className="display">{text.title}</h1>
        <p className="dim">{text.text}</p>
        <div className="choices">
          <button type="button" className="choice" onClick={() => void startOwn()}>
            <Icon of={House} size={20} />
            <span className="grow">
              <b>{hasOwn ? text.ownAgain : text.own}</b>
              <small>{hasOwn ? text.ownAgainText : text.ownText}</small>
            </span>
            <Icon of={ChevronRight} size={14} />
          </button>
          <button type="button" className="choice" onClick={() => open({ name: 'join' })}>
            <Icon of={Link} size={20} />
            <span className="grow">
              <b>{text.join}</b>
              <small>{text.joinText}</small>
            </span>
            <Icon of={ChevronRight} size={14} />
          </button>
        </div>
      </div>
    </main>
  )
}
