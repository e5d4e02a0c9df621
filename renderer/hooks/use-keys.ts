import { useEffect, useEffectEvent } from 'react'

/** Keys of the whole window, as "Ctrl+k" or "/"; the handler says whether the key was its own. */
export function useKeys(handle: (key: string, event: KeyboardEvent) => boolean): void {
  const onKey = useEffectEvent((event: KeyboardEvent) => {
    if (event.defaultPrevented || event.isComposing) return
    const control = event.ctrlKey || event.metaKey ? 'Ctrl+' : ''
    if (handle(control + (event.key.length === 1 ? event.key.toLowerCase() : event.key), event)) event.preventDefault()
  })
  useEffect(() => {
    const listener = (event: KeyboardEvent): void => onKey(event)
    window.addEventListener('keydown', listener)
    return () => window.removeEventListener('keydown', listener)
  }, [])
}

/** A single letter typed into a field is text and not a command. */
export const isTyping = (event: KeyboardEvent): boolean =>
  event.target instanceof HTMLElement && event.target.closest('input, textarea, [contenteditable]') !== null
