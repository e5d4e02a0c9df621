import type { Plate } from '../model/plate.ts'
import { words } from '../words.ts'
import { Way } from './way.tsx'

interface PlateControlProps {
  readonly plate: Plate
  readonly network: string
  readonly onToggle: () => void
}

/** One switch over the whole width; Space, Enter and a click anywhere do the same. */
export function PlateControl({ plate, network, onToggle }: PlateControlProps) {
  const names = words.plate.name
  const name = { on: names.on, half: names.busy, off: names.off }[plate.at](network)
  return (
    <button
      type="button"
      className={`plate ${plate.look}`}
      role="switch"
      aria-checked={plate.at === 'on'}
      aria-busy={plate.at === 'half'}
      aria-label={name}
      aria-describedby="plate-line"
      onClick={onToggle}
    >
      <Way drawing={plate.drawing} badge={plate.badge} />
      <span className="words">
        <b>{plate.word}</b>
        <small id="plate-line" title={plate.line}>
          {plate.line}
        </small>
      </span>
      <span className={`switch ${plate.at}`} />
    </button>
  )
}
