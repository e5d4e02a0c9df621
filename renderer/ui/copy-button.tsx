import { Check, Copy } from 'lucide-react'
import { useEffect, useState } from 'react'
import { useActions } from '../use-app.ts'
import { words } from '../words.ts'
import { Icon } from './icon.tsx'

interface CopyButtonProps {
  readonly text: string
  /** What the toast names; the text itself when left out. */
  readonly name?: string
  readonly label: string
  readonly tabIndex?: number
}

/** The sign turns into a check for this long after copying. */
const DONE_MS = 1_200

export function CopyButton({ text, name, label, tabIndex }: CopyButtonProps) {
  const { copy } = useActions()
  const { isDone, done } = useDone()
  return (
    <button
      type="button"
      className={isDone ? 'icon-button small done' : 'icon-button small'}
      aria-label={label}
      title={words.copy}
      tabIndex={tabIndex}
      onClick={(event) => {
        event.stopPropagation()
        void copy(text, name).then((isCopied) => isCopied && done())
      }}
    >
      <Icon of={isDone ? Check : Copy} size={14} />
    </button>
  )
}

function useDone(): { readonly isDone: boolean; readonly done: () => void } {
  const [at, setAt] = useState(0)
  useEffect(() => {
    if (at === 0) return undefined
    const timer = setTimeout(() => setAt(0), DONE_MS)
    return () => clearTimeout(timer)
  }, [at])
  return { isDone: at !== 0, done: () => setAt(Date.now()) }
}
