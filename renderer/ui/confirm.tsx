import { useEffect, useRef } from 'react'

interface ConfirmProps {
  readonly title: string
  readonly text: string
  /** The safe choice: left, and with the focus. */
  readonly stay: string
  readonly go: string
  readonly onStay: () => void
  readonly onGo: () => void
}

export function Confirm({ title, text, stay, go, onStay, onGo }: ConfirmProps) {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => dialog.current?.showModal(), [])
  return (
    <dialog ref={dialog} aria-labelledby="confirm-title" onCancel={onStay}>
      <h2 id="confirm-title">{title}</h2>
      <p>{text}</p>
      <div className="buttons">
        <button type="button" className="button" onClick={onStay}>
          {stay}
        </button>
        <button type="button" className="button danger" onClick={onGo}>
          {go}
        </button>
      </div>
    </dialog>
  )
}
