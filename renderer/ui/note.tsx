import { CircleX, Info, type LucideIcon, TriangleAlert, X } from 'lucide-react'
import { type ReactNode, useState } from 'react'
import { words } from '../words.ts'
import { CopyButton } from './copy-button.tsx'
import { Icon } from './icon.tsx'

export interface NoteProps {
  readonly kind: 'bad' | 'warn' | 'info' | 'plain'
  readonly icon?: LucideIcon
  readonly className?: string
  readonly title: string
  readonly text?: string
  /** After the title, lighter: "and 2 more". */
  readonly aside?: string
  /** Shown under "Details", to copy. */
  readonly code?: string | undefined
  readonly children?: ReactNode
  readonly onDismiss?: (() => void) | undefined
}

const ICONS = { bad: CircleX, warn: TriangleAlert, info: Info, plain: Info }

/** A trouble or a hint: cause first, next step second, then what does it. */
export function Note({
  kind,
  icon,
  className = '',
  title,
  text = '',
  aside = '',
  code,
  children,
  onDismiss,
}: NoteProps) {
  const [showsCode, setShowsCode] = useState(false)
  const isTrouble = kind === 'bad' || kind === 'warn'
  return (
    <div className={`note ${kind} ${className}`.trim()} role={isTrouble ? 'alert' : 'note'}>
      <Icon of={icon ?? ICONS[kind]} />
      <div className="body">
        <b>
          {title}
          {aside !== '' && <span>, {aside}</span>}
        </b>
        {text !== '' && <small>{text}</small>}
        <div className="buttons">
          {children}
          {code !== undefined && !showsCode && (
            <button type="button" className="button quiet" onClick={() => setShowsCode(true)}>
              {words.details}
            </button>
          )}
        </div>
        {code !== undefined && showsCode && (
          <div className="code-line">
            <code className="mono selectable grow">{code}</code>
            <CopyButton text={code} label={`${words.copy} ${code}`} />
          </div>
        )}
      </div>
      {onDismiss && (
        <button type="button" className="icon-button small" aria-label={words.dismiss} onClick={onDismiss}>
          <Icon of={X} size={14} />
        </button>
      )}
    </div>
  )
}
