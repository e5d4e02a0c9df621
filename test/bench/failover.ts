// How long a pair stays without answers when its path changes: a UDP datagram each 20 ms through the tunnel and back, in
// network namespaces. Prints a table, ours beside stock where stock clients are there.
//
//   node --import tsx test/bench/failover.ts [--rounds 5] [--only ROW,…] [--pairs ours-ours,…]

import { parseArgs } from 'node:util'
import { labUnavailable } from '../lab/netns.ts'
import { peerwayUnavailable } from '../lab/peerway.ts'
import { stockUnavailable } from '../stock/binaries.ts'
import type { Kinds } from './failover-lab.ts'
import { measure, type Row, type RowName, rows, type Sheet } from './failover-rows.ts'

/** Who sends, and who answers. The last is measured only when it is asked for: it differs little from the second. */
const PAIRS: readonly Kinds[] = [
  ['ours', 'ours'],
  ['ours', 'stock'],
  ['stock', 'stock'],
  ['stock', 'ours'],
]
const USUAL = 'ours-ours,ours-stock,stock-stock'

const list = (text: string | undefined): readonly string[] | undefined => text?.split(',')
const nameOf = (kinds: Kinds): string => kinds.join('-')

/** The figures of one pair. */
class Figures implements Sheet {
  readonly notes = new Map<RowName, string[]>()
  readonly #values = new Map<RowName, number[]>()
  readonly #only: readonly string[] | undefined
  readonly #pair: string

  constructor(pair: string, only: readonly string[] | undefined) {
    this.#pair = pair
    this.#only = only
  }

  wants(...names: readonly RowName[]): boolean {
    return names.some((name) => this.#only?.includes(name) ?? true)
  }

  put(name: RowName, value: number): void {
    this.#values.set(name, [...this.of(name), value])
    process.stderr.write(`${this.#pair} ${name} ${value === Infinity ? 'never' : value.toFixed(0)}\n`)
  }

  note(name: RowName, text: string): void {
    this.notes.set(name, [...(this.notes.get(name) ?? []), text])
  }

  of(name: RowName): readonly number[] {
    return this.#values.get(name) ?? []
  }
}

const quantile = (values: readonly number[], share: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.ceil(share * values.length) - 1)] ?? Number.NaN

const shown = (row: Row, value: number): string =>
  value === Infinity ? 'not back' : row.targetMs === 0 ? String(value) : (value / 1000).toFixed(2)

/** With few rounds the 95th percentile is the worst of them. */
function cell(row: Row, figures: Figures, isMixed: boolean): string {
  const values = figures.of(row.name)
  if (values.length === 0) return ''
  const worst = quantile(values, 0.95)
  const target = (isMixed ? row.mixedTargetMs : undefined) ?? row.targetMs
  return `${shown(row, quantile(values, 0.5))} / ${shown(row, worst)} ${worst <= target ? 'met' : 'not met'}`
}

function targetOf({ targetMs, mixedTargetMs }: Row): string {
  if (targetMs === 0) return '0'
  const mixed = mixedTargetMs === undefined ? '' : ` (${mixedTargetMs / 1000} mixed)`
  return `≤ ${targetMs / 1000}${mixed}`
}

function print(all: readonly { readonly kinds: Kinds; readonly figures: Figures }[]): void {
  const columns = all.map(({ kinds }) => kinds.join('–'))
  console.log(`| seconds: median / p95 | target | ${columns.join(' | ')} |`)
  console.log(`|---|---:|${columns.map(() => '---:').join('|')}|`)
  for (const row of rows) {
    const cells = all.map(({ kinds, figures }) => cell(row, figures, kinds[0] !== kinds[1]))
    if (cells.some((text) => text !== '')) console.log(`| ${row.what} | ${targetOf(row)} | ${cells.join(' | ')} |`)
  }
  for (const { kinds, figures } of all)
    for (const [name, notes] of figures.notes) console.log(`${kinds.join('–')}, ${name}: ${notes.join('; ')}`)
}

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    only: { type: 'string' },
    pairs: { type: 'string', default: USUAL },
  },
})
const rounds = Number(options.rounds)
const only = list(options.only)
const unknown = only?.find((name) => !rows.some((row) => row.name === name))
const why = labUnavailable() ?? peerwayUnavailable()
if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds takes a number from 1 on')
if (unknown !== undefined) throw new Error(`no row ${unknown}; rows: ${rows.map(({ name }) => name).join(', ')}`)
if (why !== undefined) console.log(`skipped: ${why}`)
else {
  const hasStock = stockUnavailable('tailscale-new') === undefined
  if (!hasStock) console.log('no stock clients here: ours alone')
  const wanted = options.pairs.split(',')
  const pairs = PAIRS.filter((kinds) => (hasStock || !kinds.includes('stock')) && wanted.includes(nameOf(kinds)))
  const all = pairs.map((kinds) => ({ kinds, figures: new Figures(nameOf(kinds), only) }))
  for (const { kinds, figures } of all) await measure(kinds, rounds, figures)
  print(all)
}
