// A menu under its button: arrows move, Escape and a click elsewhere close it and give the focus back.

import { Check, type LucideIcon } from 'lucide-react'
import { type KeyboardEvent, type ReactNode, useEffect, useRef } from 'react'
import { Icon } from './icon.tsx'

interface MenuProps {
  readonly label: string
  readonly onClose: () => void
  /** Under which end of the bar. */
  readonly place?: 'left' | 'right'
  readonly children: ReactNode
}

export function Menu({ label, onClose, place = 'right', children }: MenuProps) {
  const menu = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const opener = document.activeElement
    itemsOf(menu.current)[0]?.focus()
    const onPointer = (event: PointerEvent): void => {
      const at = event.target
      if (at instanceof Node && !menu.current?.contains(at) && !opener?.contains(at)) onClose()
    }
    window.addEventListener('pointerdown', onPointer, true)
    return () => {
      window.removeEventListener('pointerdown', onPointer, true)
      if (opener instanceof HTMLElement) opener.focus()
    }
  }, [onClose])

  function onKeyDown(event: KeyboardEvent): void {
    const items = itemsOf(menu.current)
    const at = items.findIndex((item) => item === document.activeElement)
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key]
    if (to !== undefined) items.at(to % items.length)?.focus()
    else if (event.key === 'Escape' || event.key === 'Tab') onClose()
    else return
    event.preventDefault()
    event.stopPropagation()
  }

  return (
    <div ref={menu} className={`menu ${place}`} role="menu" tabIndex={-1} aria-label={label} onKeyDown={onKeyDown}>
      {children}
    </div>
  )
}

const itemsOf = (menu: HTMLElement | null): HTMLElement[] => [
  ...(menu?.querySelectorAll<HTMLElement>('[role^=menuitem]') ?? []),
]

interface MenuItemProps {
  readonly icon?: LucideIcon
  readonly text: string
  readonly onChoose: () => void
  /** One of several, and whether it is the one. */
  readonly isChecked?: boolean
  readonly end?: ReactNode
}

export function MenuItem({ icon, text, onChoose, isChecked, end }: MenuItemProps) {
  return (
    <button
      type="button"
      className="menu-item"
      role={isChecked === undefined ? 'menuitem' : 'menuitemradio'}
      aria-checked={isChecked}
      tabIndex={-1}
      onClick={onChoose}
    >
      {icon && <Icon of={icon} />}
      <span className="grow">{text}</span>
      {end !== undefined && <span className="end">{end}</span>}
      {isChecked === true && (
        <span className="end">
          <Icon of={Check} size={14} />
        </span>
      )}
    </button>
  )
}
