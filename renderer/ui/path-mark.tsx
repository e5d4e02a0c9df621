// The small drawing of a path: it says the kind without colour.

import type { ReactNode } from 'react'
import type { MarkKind } from '../../electron/contract/path-words.ts'

const full = (x: number) => <circle cx={x} cy="5" r="2.75" fill="currentColor" />
const hollow = (x: number) => <circle cx={x} cy="5" r="2" fill="none" stroke="currentColor" strokeWidth="1.5" />
const line = (d: string) => <path d={d} fill="none" stroke="currentColor" strokeWidth="1.75" />
const dot = (x: number) => <circle cx={x} cy="5" r="0.85" fill="currentColor" />

const DRAWINGS: Readonly<Record<MarkKind, ReactNode>> = {
  lan: (
    <>
      {line('M10 5h10')}
      {full(9.5)}
      {full(20.5)}
    </>
  ),
  direct: (
    <>
      {line('M3 5h24')}
      {full(3)}
      {full(27)}
    </>
  ),
  relay: (
    <>
      {line('M3 5h8M19 5h8')}
      {full(3)}
      {full(27)}
      <path d="m15 .4 4.6 4.6-4.6 4.6-4.6-4.6z" fill="currentColor" />
    </>
  ),
  derp: (
    <>
      {full(3)}
      {full(27)}
      {dot(7.6)}
      {dot(10.1)}
      {dot(19.9)}
      {dot(22.4)}
      <circle cx="15" cy="5" r="3" fill="none" stroke="currentColor" strokeWidth="1.5" />
    </>
  ),
  find: (
    <>
      {full(3)}
      <g className="seek">
        <circle cx="9" cy="5" r="1.25" fill="currentColor" />
      </g>
      <g className="seek" opacity=".65">
        <circle cx="14" cy="5" r="1.25" fill="currentColor" />
      </g>
      <g className="seek" opacity=".35">
        <circle cx="19" cy="5" r="1.25" fill="currentColor" />
      </g>
      {hollow(27)}
    </>
  ),
  idle: (
    <>
      {hollow(3)}
      {hollow(27)}
    </>
  ),
  off: (
    <>
      {hollow(3)}
      <path
        d="m24.8 2.8 4.4 4.4m0-4.4-4.4 4.4"
        fill="none"
        stroke="currentColor"
        strokeWidth="1.5"
        strokeLinecap="round"
      />
    </>
  ),
}

/** `key` by kind, so that a changed path fades in once. */
export function PathMark({ kind }: { readonly kind: MarkKind }) {
  return (
    <svg key={kind} className={`mark fresh path-${kind}`} viewBox="0 0 30 10" aria-hidden>
      {DRAWINGS[kind]}
    </svg>
  )
}
