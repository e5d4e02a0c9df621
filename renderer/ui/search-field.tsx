import { Search, X } from 'lucide-react'
import type { KeyboardEvent, Ref } from 'react'
import { words } from '../words.ts'
import { Icon } from './icon.tsx'

interface SearchFieldProps {
  readonly text: string
  readonly onText: (text: string) => void
  readonly onDown: () => void
  readonly ref: Ref<HTMLInputElement>
}

export function SearchField({ text, onText, onDown, ref }: SearchFieldProps) {
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === 'ArrowDown' || event.key === 'Enter') onDown()
    else if (event.key === 'Escape' && text !== '') onText('')
    else return
    event.preventDefault()
  }
  return (
    <div className="search" role="search">
      <Icon of={Search} size={14} />
      <input
        ref={ref}
        type="search"
        spellCheck={false}
        maxLength={100}
        value={text}
        placeholder={words.list.search}
        aria-label={words.list.search}
        onChange={(event) => onText(event.target.value)}
        onKeyDown={onKeyDown}
      />
      {text === '' ? (
        <span className="key" aria-hidden>
          /
        </span>
      ) : (
        <button type="button" className="icon-button" aria-label={words.list.clear} onClick={() => onText('')}>
          <Icon of={X} size={14} />
        </button>
      )}
    </div>
  )
}
