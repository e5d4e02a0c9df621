// Small parts of the console's pages.

import { type ReactNode, useEffect, useState } from 'react'
import { CircleX, X } from 'lucide-react'
import { Icon } from '../ui/icon.tsx'
import { dismissTrouble, mayWrite, useConsole } from './store.ts'

interface PageProps {
  readonly title: string
  readonly aside?: ReactNode
  readonly children: ReactNode
}

/** A place of the console: its title, what can be done there, what went wrong. */
export function Place({ title, aside, children }: PageProps) {
  const trouble = useConsole((state) => state.trouble)
  const isLooker = !useConsole(mayWrite)
  useEffect(() => {
    document.title = `${title} · Peerway`
  }, [title])
  return (
    <main className="main" aria-label={title}>
      <header>
        <h1>{title}</h1>
        <span className="grow" />
        {aside}
      </header>
      {trouble !== undefined && (
        <div className="note bad" role="alert">
          <Icon of={CircleX} />
          <div className="body">
            <b>{trouble}</b>
          </div>
          <button type="button" className="icon-button small" aria-label="Dismiss" onClick={dismissTrouble}>
            <Icon of={X} size={14} />
          </button>
        </div>
      )}
      {isLooker && <p className="faint small looker">You may look. An owner or administrator changes things.</p>}
      {children}
    </main>
  )
}

/** What only those who run the network may use; for others it is there, and does nothing. */
export function Writes({ children }: { readonly children: ReactNode }) {
  const isMine = useConsole(mayWrite)
  return (
    <fieldset className="writes" disabled={!isMine}>
      {children}
    </fieldset>
  )
}

export const Loading = () => (
  <p className="faint pad" role="status">
    Loading…
  </p>
)

/** Asks before it does; the second click counts, for a few seconds. */
export function Sure({
  label,
  sure,
  onSure,
}: {
  readonly label: string
  readonly sure: string
  readonly onSure: () => void
}) {
  const [asks, setAsks] = useState(false)
  useEffect(() => {
    if (!asks) return undefined
    const timer = setTimeout(() => setAsks(false), 5_000)
    return () => clearTimeout(timer)
  }, [asks])
  return (
    <button type="button" className="button danger" onClick={() => (asks ? onSure() : setAsks(true))}>
      {asks ? sure : label}
    </button>
  )
}

/** Something shown once: to copy, and then to lose. */
export function Once({
  title,
  text,
  onDone,
}: {
  readonly title: string
  readonly text: string
  readonly onDone: () => void
}) {
  const [isCopied, setCopied] = useState(false)
  return (
    <div className="note info once" role="status">
      <div className="body">
        <b>{title}</b>
        <code className="mono selectable">{text}</code>
        <div className="buttons">
          <button
            type="button"
            className="button"
            onClick={() =>
              void navigator.clipboard.writeText(text).then(
                () => setCopied(true),
                () => {},
              )
            }
          >
            {isCopied ? 'Copied' : 'Copy'}
          </button>
          <button type="button" className="button quiet" onClick={onDone}>
            Done
          </button>
        </div>
      </div>
    </div>
  )
}

const MINUTE_MS = 60_000
const STEPS = [
  ['min', MINUTE_MS],
  ['h', 60 * MINUTE_MS],
  ['d', 24 * 60 * MINUTE_MS],
] as const

/** "2 h ago", "in 3 d". */
export function apart(at: string, nowMs = Date.now()): string {
  const ms = Date.parse(at) - nowMs
  const size = Math.abs(ms)
  if (size < MINUTE_MS) return ms > 0 ? 'in a moment' : 'just now'
  const [unit, unitMs] = STEPS.findLast(([, one]) => size >= one) ?? STEPS[0]
  const text = `${Math.floor(size / unitMs)} ${unit}`
  return ms > 0 ? `in ${text}` : `${text} ago`
}
