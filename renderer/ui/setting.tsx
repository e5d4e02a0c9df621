import type { LucideIcon } from 'lucide-react'
import { type ReactNode, useId } from 'react'
import { Icon } from './icon.tsx'

interface SettingProps {
  readonly icon?: LucideIcon
  readonly name: string
  readonly text?: string
}

/** One thing to choose: its name, what follows from it, and the control at the right. */
export function Setting({ icon, name, text, children }: SettingProps & { readonly children: ReactNode }) {
  return (
    <div className="row setting">
      {icon && <Icon of={icon} />}
      <span className="grow">
        {name}
        {text !== undefined && <small>{text}</small>}
      </span>
      {children}
    </div>
  )
}

interface SwitchSettingProps extends SettingProps {
  readonly isOn: boolean
  readonly onToggle: () => void
}

/** The whole row is the switch. */
export function SwitchSetting({ icon, name, text, isOn, onToggle }: SwitchSettingProps) {
  const label = useId()
  return (
    <button
      type="button"
      className="row setting"
      role="switch"
      aria-checked={isOn}
      aria-labelledby={label}
      onClick={onToggle}
    >
      {icon && <Icon of={icon} />}
      <span className="grow">
        <span id={label}>{name}</span>
        {text !== undefined && <small>{text}</small>}
      </span>
      <span className={isOn ? 'switch small on' : 'switch small'} />
    </button>
  )
}
