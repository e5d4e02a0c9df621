import { ExternalLink, LoaderCircle } from 'lucide-react'
import { Note } from '../ui/note.tsx'
import { useActions, useUi } from '../use-app.ts'
import { words } from '../words.ts'

/** What joining waits for, and how to go on or give up. */
export function JoinProgress({ host, onCancel }: { readonly host: string; readonly onCancel: () => void }) {
  const { openLogin, copy } = useActions()
  const agent = useUi((ui) => ui.agent)
  const text = words.join
  const cancel = (
    <button type="button" className="button" onClick={onCancel}>
      {words.cancel}
    </button>
  )
  const loginUrl = agent?.loginUrl
  if (loginUrl !== undefined)
    return (
      <div className="gap-3">
        <Note kind="info" icon={ExternalLink} title={text.browser} text={text.browserText}>
          <button type="button" className="button" onClick={() => void openLogin()}>
            {text.openAgain}
          </button>
          <button type="button" className="button" onClick={() => void copy(loginUrl, words.invite.addressName)}>
            {text.copyLink}
          </button>
          {cancel}
        </Note>
      </div>
    )
  const waitsFor = agent?.waitingFor
  const isAsking = waitsFor === undefined || waitsFor === 'the coordination server'
  return (
    <div className="gap-3">
      <Note
        kind="plain"
        icon={LoaderCircle}
        title={isAsking ? text.asking(host) : text.waiting(waitsFor)}
        text={isAsking ? text.askingText : ''}
      >
        {cancel}
      </Note>
    </div>
  )
}
