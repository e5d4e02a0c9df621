import { type KeyboardEvent, type RefObject, useState } from 'react'
import type { Problem } from './api.ts'
import { suggest, type Suggestions } from './policy-words.ts'
import { useConsole } from './store.ts'

/** As the style sheet has them, in pixels. */
const LINE = 18
const EDGE = 12
const LIST = 'policy-words'

interface PolicyTextProps {
  readonly ref: RefObject<HTMLTextAreaElement | null>
  readonly text: string
  readonly onText: (text: string) => void
  readonly problems: readonly Problem[]
}

interface Open extends Suggestions {
  readonly caret: number
  readonly chosen: number
}

/** A policy being written: offers the names that could stand at the caret, and marks lines that are wrong. */
export function PolicyText({ ref, text, onText, problems }: PolicyTextProps) {
  const { people = [], machines = [] } = useConsole((state) => state.lists)
  const [open, setOpen] = useState<Open>()
  const [scroll, setScroll] = useState({ top: 0, left: 0 })
  const look = (now: string, caret: number): void => {
    const tags = machines.flatMap((machine) => machine.tags)
    const found = suggest(now, caret, { users: people.map(({ name }) => name), tags })
    setOpen(found && { ...found, caret, chosen: 0 })
  }
  const take = (word: string): void => {
    const field = ref.current
    if (!field || !open) return
    const isClosed = text[open.caret] === '"'
    field.setSelectionRange(open.from, open.caret)
    // So that it can be undone like what was typed; only this way browsers keep it apart.
    const isDone = document.execCommand('insertText', false, isClosed ? word : `${word}"`)
    if (!isDone) onText(text.slice(0, open.from) + word + (isClosed ? '' : '"') + text.slice(open.caret))
    if (isClosed && isDone) field.setSelectionRange(open.from + word.length + 1, open.from + word.length + 1)
    setOpen(undefined)
  }
  const onKeyDown = (event: KeyboardEvent<HTMLTextAreaElement>): void => {
    const { selectionStart } = event.currentTarget
    if (event.key === ' ' && event.ctrlKey) {
      event.preventDefault()
      look(text, selectionStart)
      return
    }
    if (!open) return
    const { words, chosen } = open
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0
    if (step !== 0) setOpen({ ...open, chosen: (chosen + step + words.length) % words.length })
    else if (event.key === 'Enter' || event.key === 'Tab') take(words[chosen] ?? '')
    else if (event.key === 'Escape') setOpen(undefined)
    else {
      if (['ArrowLeft', 'ArrowRight', 'Home', 'End'].includes(event.key)) setOpen(undefined)
      return
    }
    event.preventDefault()
  }
  const before = open ? text.slice(0, open.from).split('\n') : []
  return (
    <div className="policy-text">
      <textarea
        ref={ref}
        className="mono selectable"
        aria-label="Policy, in HuJSON"
        aria-describedby="policy-keys"
        aria-autocomplete="list"
        aria-controls={open ? LIST : undefined}
        aria-activedescendant={open ? `${LIST}-${open.chosen}` : undefined}
        aria-invalid={problems.length > 0}
        spellCheck={false}
        wrap="off"
        value={text}
        rows={Math.min(Math.max(text.split('\n').length + 1, 14), 34)}
        onChange={({ target }) => {
          onText(target.value)
          look(target.value, target.selectionStart)
        }}
        onKeyDown={onKeyDown}
        onBlur={() => setOpen(undefined)}
        onMouseDown={() => setOpen(undefined)}
        onScroll={({ currentTarget }) => setScroll({ top: currentTarget.scrollTop, left: currentTarget.scrollLeft })}
      />
      {problems.map(({ line, column, message }) => (
        <span
          key={`${line}:${column}:${message}`}
          className="wrong"
          title={message}
          style={{ top: EDGE + (line - 1) * LINE - scroll.top }}
        />
      ))}
      {open && (
        <div
          id={LIST}
          tabIndex={-1}
          className="words mono"
          role="listbox"
          aria-label="Names that could stand here"
          style={{
            top: EDGE + before.length * LINE - scroll.top,
            left: `min(calc(${EDGE - scroll.left}px + ${before.at(-1)?.length ?? 0}ch), 100% - 220px)`,
          }}
        >
          {open.words.map((word, index) => (
            <div
              key={word}
              id={`${LIST}-${index}`}
              role="option"
              tabIndex={-1}
              aria-selected={index === open.chosen}
              onMouseDown={(event) => {
                event.preventDefault()
                take(word)
              }}
            >
              {word}
            </div>
          ))}
        </div>
      )}
      <p id="policy-keys" className="faint small">
        Names are offered inside quotes: ↑ ↓ choose, Enter takes, Esc closes, Ctrl Space asks again.
      </p>
      <span className="unseen" role="status">
        {open && `${open.words.length} ${open.words.length === 1 ? 'name' : 'names'}: ${open.words[open.chosen] ?? ''}`}
      </span>
    </div>
  )
}
