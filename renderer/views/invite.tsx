import { LoaderCircle, Terminal } from 'lucide-react'
import { useEffect, useState } from 'react'
import type { InviteView, Reply } from '../../electron/contract/calls.ts'
import { useNow } from '../hooks/use-now.ts'
import { inviteLine } from '../model/join-input.ts'
import { untilText } from '../model/time.ts'
import { CopyButton } from '../ui/copy-button.tsx'
import { Icon } from '../ui/icon.tsx'
import { Note } from '../ui/note.tsx'
import { Page } from '../ui/page.tsx'
import { useActions } from '../use-app.ts'
import { splitMessage, words } from '../words.ts'

/** A one-time key for one more machine, ready to type, paste or run. */
export function Invite() {
  const { home } = useActions()
  const [round, setRound] = useState(0)
  return (
    <Page title={words.invite.title} onBack={home} isOver>
      <OneInvite key={round} onAgain={() => setRound(round + 1)} />
    </Page>
  )
}

function OneInvite({ onAgain }: { readonly onAgain: () => void }) {
  const { invite, copy } = useActions()
  const [reply, setReply] = useState<Reply<InviteView>>()
  useEffect(() => {
    let isCurrent = true
    void invite().then((next) => isCurrent && setReply(next))
    return () => {
      isCurrent = false
    }
  }, [invite])

  const text = words.invite
  if (!reply) return <Note kind="plain" icon={LoaderCircle} title={text.making} />
  if (!reply.ok)
    return (
      <Note kind="bad" {...splitMessage(reply.message)} code={reply.code}>
        <button type="button" className="button" onClick={onAgain}>
          {words.tryAgain}
        </button>
      </Note>
    )
  const { serverUrl, authKey } = reply.value
  return (
    <>
      <InviteCard invite={reply.value} />
      <div className="buttons gap-5">
        <button
          type="button"
          className="button primary"
          onClick={() => void copy(inviteLine(serverUrl, authKey), text.lineName)}
        >
          {text.copyAll}
        </button>
        <button type="button" className="button" onClick={onAgain}>
          {text.another}
        </button>
      </div>
    </>
  )
}

function InviteCard({ invite }: { readonly invite: InviteView }) {
  const nowMs = useNow()
  const text = words.invite
  const line = inviteLine(invite.serverUrl, invite.authKey)
  return (
    <>
      <p className="dim first">{text.text}</p>
      <div className="card">
        <Value name={text.server} value={invite.serverUrl} copyName={invite.serverUrl} />
        <Value name={text.key} value={invite.authKey} copyName={text.keyName} isKey />
      </div>
      <p className="hint">{text.expires(untilText(invite.expiresAt, nowMs))}</p>
      <h2 className="section">
        <Icon of={Terminal} size={14} />
        {text.line}
      </h2>
      <div className="command">
        <code>{line}</code>
        <CopyButton text={line} name={text.lineName} label={text.copyAll} />
      </div>
    </>
  )
}

interface ValueProps {
  readonly name: string
  readonly value: string
  readonly copyName: string
  readonly isKey?: boolean
}

function Value({ name, value, copyName, isKey = false }: ValueProps) {
  return (
    <div className="row tight invite">
      <span className="name">{name}</span>
      <span className={`grow selectable ${isKey ? 'mono break' : 'ell'}`} title={value}>
        {value}
      </span>
      <CopyButton text={value} name={copyName} label={`${words.copy} ${name}`} />
    </div>
  )
}
