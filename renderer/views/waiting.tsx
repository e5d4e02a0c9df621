import { useEffect, useRef, useState } from 'react'
import { useNow } from '../hooks/use-now.ts'
import { deviceKind, osName } from '../model/machines.ts'
import { agoText } from '../../electron/contract/time-words.ts'
import { clockText } from '../model/time.ts'
import { DeviceIcon } from '../ui/icon.tsx'
import { Note } from '../ui/note.tsx'
import { useActions, useUi } from '../use-app.ts'
import { splitMessage, words } from '../words.ts'

/** A machine that wants to join the network of this computer: what it says of itself, and the two answers. */
export function Waiting({ id }: { readonly id: string }) {
  const { home, answerWaiting } = useActions()
  const machine = useUi(({ own }) => own?.waiting.find((one) => one.id === id))
  const failure = useUi((ui) => ui.failure)
  const [isBusy, setBusy] = useState(false)
  const dialog = useRef<HTMLDialogElement>(null)
  const nowMs = useNow()
  useEffect(() => dialog.current?.showModal(), [])
  const text = words.waiting

  async function answer(isAllowed: boolean): Promise<void> {
    setBusy(true)
    await answerWaiting(id, isAllowed, machine?.name ?? '')
    setBusy(false)
  }

  return (
    <dialog ref={dialog} className="waiting" aria-labelledby="waiting-title" onCancel={home}>
      {machine ? (
        <>
          <h2 id="waiting-title">
            <DeviceIcon kind={deviceKind({ name: machine.name, os: machine.os, tags: [] })} />
            {text.title(machine.name)}
          </h2>
          <p>{machine.user === undefined ? text.text : text.knownText}</p>
          <dl>
            <dt>{text.system}</dt>
            <dd>{osName(machine.os)}</dd>
            <dt>{machine.user === undefined ? text.where : text.user}</dt>
            <dd className="selectable">{machine.user ?? machine.address}</dd>
            <dt>{text.asked}</dt>
            <dd>
              {clockText(machine.askedAt)}, {agoText(machine.askedAt, nowMs)}
            </dd>
          </dl>
          {failure && <Note kind="bad" {...splitMessage(failure.message)} code={failure.code} />}
          <div className="buttons">
            <button type="button" className="button danger" disabled={isBusy} onClick={() => void answer(false)}>
              {text.deny}
            </button>
            <button type="button" className="button primary" disabled={isBusy} onClick={() => void answer(true)}>
              {text.allow}
            </button>
          </div>
        </>
      ) : (
        <>
          <h2 id="waiting-title">{text.over}</h2>
          <p>{text.overText}</p>
          <div className="buttons">
            <button type="button" className="button" onClick={home}>
              {words.back}
            </button>
          </div>
        </>
      )}
    </dialog>
  )
}
