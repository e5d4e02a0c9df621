import type { LucideIcon } from 'lucide-react'
import { type ReactNode, useId } from 'react'
import { Icon } from './icon.tsx'

interface SettingProps {
  readonly icon?: LucideIcon
  readonly name: string
  readonly text?: string | undefined
}

interface ChoiceSettingProps extends SettingProps {
  /** How much of it is used up, 0 to 1; `text` says the same. */
  readonly meter?: number | undefined
  readonly children: ReactNode
}

/** One thing to choose: its name, what follows from it, and the control at the right. */
export function Setting({ icon, name, text, meter, children }: ChoiceSettingProps) {
  return (
    <div className="row setting">
      {icon && <Icon of={icon} />}
      <span className="grow">
        {name}
        {meter !== undefined && (
          <span className="meter" aria-hidden>
            <i style={{ width: `${meter * 100}%` }} />
          </span>
        )}
        {text !== undefined && <small className="num">{text}</small>}
      </span>
      {children}
    </div>
  )
}

interface SwitchSettingProps extends SettingProps {
  readonly isOn: boolean
  /** Why it can do nothing here: it is shown off then, with this reason. */
  readonly cannot?: string | undefined
  readonly onToggle: () => void
}

/** The whole row is the switch. */
export function SwitchSetting({ icon, name, text, isOn, cannot, onToggle }: SwitchSettingProps) {
  const [label, reason] = [useId(), useId()]
  const isShownOn = isOn && cannot === undefined
  const line = cannot ?? text
  return (
    <button
      type="button"
      className="row setting"
      role="switch"
      aria-checked={isShownOn}
      aria-labelledby={label}
      aria-describedby={line === undefined ? undefined : reason}
      aria-disabled={cannot !== undefined}
      onClick={cannot === undefined ? onToggle : undefined}
    >
      {icon && <Icon of={icon} />}
      <span className="grow">
        <span id={label}>{name}</span>
        {line !== undefined && <small id={reason}>{line}</small>}
      </span>
      <span className={isShownOn ? 'switch small on' : 'switch small'} />
    </button>
  )
}
