import { ArrowLeft } from 'lucide-react'
import { type ReactNode, useEffect, useRef } from 'react'
import { words } from '../words.ts'
import { Icon } from './icon.tsx'

interface PageProps {
  readonly title: string
  readonly subtitle?: string
  readonly onBack: () => void
  /** Lies over the list, rather than being the whole window. */
  readonly isOver?: boolean
  readonly focusesField?: boolean
  readonly children: ReactNode
}

/** A page with its bar; the focus starts at "Back", so that a keyboard is never lost. */
export function Page({ title, subtitle = '', onBack, isOver = false, focusesField = false, children }: PageProps) {
  const back = useRef<HTMLButtonElement>(null)
  useEffect(() => {
    if (!focusesField) back.current?.focus({ preventScroll: true })
  }, [focusesField])
  return (
    <main className={isOver ? 'pane over' : 'pane'} aria-label={title}>
      <header className="bar">
        <button ref={back} type="button" className="icon-button" aria-label={words.back} onClick={onBack}>
          <Icon of={ArrowLeft} />
        </button>
        <h1 className="ell" title={title}>
          {title}
          {subtitle !== '' && <span className="faint"> · {subtitle}</span>}
        </h1>
      </header>
      <div className="page">{children}</div>
    </main>
  )
}
