import { useId } from 'react'
import type { Plate } from '../model/plate.ts'
import { Way } from './way.tsx'

interface PlateControlProps {
  readonly plate: Plate
  /** For a screen reader. */
  readonly name: string
  readonly onToggle: () => void
}

/** One switch over the whole width; Space, Enter and a click anywhere do the same. */
export function PlateControl({ plate, name, onToggle }: PlateControlProps) {
  const line = useId()
  return (
    <button
      type="button"
      className={`plate ${plate.look}`}
      role="switch"
      aria-checked={plate.at === 'on'}
      aria-busy={plate.at === 'half'}
      aria-label={name}
      aria-describedby={line}
      onClick={onToggle}
    >
      <Way drawing={plate.drawing} badge={plate.badge} />
      <span className="words">
        <b>{plate.word}</b>
        <small id={line} title={plate.line}>
          {plate.line}
        </small>
      </span>
      <span className={`switch ${plate.at}`} />
    </button>
  )
}
