// The contrast that design.md promises, computed from tokens.css itself: WCAG 2.2, 1.4.3 and 1.4.11.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

const css = readFileSync(new URL('tokens.css', import.meta.url), 'utf8')

type Tokens = Readonly<Record<string, string>>

function tokensAfter(selector: string): Tokens {
  const from = css.indexOf(selector)
  assert.ok(from >= 0, selector)
  const block = css.slice(css.indexOf('{', from) + 1, css.indexOf('}', from))
  return Object.fromEntries(
    [...block.matchAll(/--([\w-]+):\s*(#[0-9A-Fa-f]{6});/g)].map(([, name, hex]) => [name, hex]),
  )
}

const light = tokensAfter(':root {')
const themes: Readonly<Record<string, Tokens>> = {
  light,
  dark: { ...light, ...tokensAfter(":root[data-theme='dark']") },
}

function luminance(hex: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const part = parseInt(hex.slice(at, at + 2), 16) / 255
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}

function contrast(a: string, b: string): number {
  const [lighter = 0, darker = 0] = [luminance(a), luminance(b)].toSorted((x, y) => y - x)
  return (lighter + 0.05) / (darker + 0.05)
}

const GROUNDS = ['bg', 'surface', 'sunken', 'hover', 'press']
const TEXTS = ['text', 'text-2', 'text-3', 'accent', 'direct', 'relay', 'derp', 'warn', 'danger', 'idle']
const SOFT = ['accent-soft', 'warn-soft', 'danger-soft']
const pairs: readonly [ink: string, ground: string, least: number][] = [
  ...TEXTS.flatMap((ink) => GROUNDS.map((ground): [string, string, number] => [ink, ground, 4.5])),
  ...SOFT.flatMap((ground) => ['text', 'text-2', 'accent'].map((ink): [string, string, number] => [ink, ground, 4.5])),
  ['warn', 'warn-soft', 4.5],
  ['danger', 'danger-soft', 4.5],
  ['on-accent', 'accent-fill', 4.5],
  ['on-accent', 'accent-fill-hover', 4.5],
  ['on-accent-2', 'accent-fill', 4.5],
  ['on-accent-2', 'accent-fill-hover', 4.5],
  ['on-accent', 'danger-fill', 4.5],
  ...[1, 2, 3, 4].map((n): [string, string, number] => ['on-net', `net-${n}`, 4.5]),
  // The toast: the window's ground as ink.
  ['bg', 'text', 4.5],
  ...['bg', 'surface'].flatMap((ground) =>
    ['line-strong', 'focus'].map((ink): [string, string, number] => [ink, ground, 3]),
  ),
]

for (const [theme, tokens] of Object.entries(themes))
  test(`every pair of ink and ground can be read in the ${theme} theme`, () => {
    const short = pairs.flatMap(([ink, ground, least]) => {
      const ratio = contrast(tokens[ink] ?? '', tokens[ground] ?? '')
      return ratio >= least ? [] : [`${ink} on ${ground}: ${ratio.toFixed(2)} < ${least}`]
    })
    assert.deepEqual(short, [])
  })

test('the dark theme is the same whether the system or a person chose it', () => {
  assert.deepEqual(tokensAfter(":root:not([data-theme='light'])"), tokensAfter(":root[data-theme='dark']"))
})
