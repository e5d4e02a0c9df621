// The NAT matrix (paths.md §10.2), with and without a relay, ours beside stock. A few cells in `npm test`; all of them, in some
// twenty minutes, with `npm run test:lab`.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stockUnavailable } from '../stock/binaries.ts'
import { expected, isBetter, type Kind, KINDS, line, Matrix } from './matrix.ts'
import { labUnavailable, runOrSkip } from './netns.ts'
import { peerwayUnavailable } from './peerway.ts'

const isWhole = process.env['PEERWAY_LAB'] === 'whole'
const unavailable = labUnavailable() ?? peerwayUnavailable() ?? stockUnavailable('tailscale-new')
const options = runOrSkip(unavailable, isWhole ? 2_400_000 : 290_000)

type Cell = readonly [Kind, Kind, hasRelay: boolean]

/** One cell of each sort: both end up alike, one side decides, nothing helps. */
const SHORT: readonly Cell[] = [
  ['easy', 'easy', false],
  ['easy', 'hard', false],
  ['full-cone', 'hard', false],
  ['address-restricted', 'hard', false],
  ['blk', 'one-to-one', false],
  ['hard', 'hard', true],
  ['easy', 'hard', true],
]

const all = (hasRelay: boolean): Cell[] =>
  KINDS.flatMap((a, index) => KINDS.slice(index).map((b): Cell => [a, b, hasRelay]))

test('the matrix of routers: where a stock pair gets, ours get too', options, async (t) => {
  const matrix = await Matrix.create()
  t.after(() => matrix.lab.close())
  if (!isWhole) t.diagnostic(`${SHORT.length} of ${2 * all(false).length} cells; all with npm run test:lab`)
  let relay = false
  for (const [a, b, hasRelay] of isWhole ? [...all(false), ...all(true)] : SHORT) {
    if (hasRelay !== relay) await matrix.setRelay((relay = hasRelay))
    await t.test(`${a} and ${b}${hasRelay ? ' with a relay' : ''}`, async () => {
      let cell = await matrix.cell(a, b, hasRelay)
      t.diagnostic(line(a, b, hasRelay, cell))
      const isWrong = (): boolean =>
        (['ours-ours', 'ours-stock'] as const).some((pair) => cell[pair].reached !== wanted)
      const wanted = expected(a, b, hasRelay)
      if (isWrong()) {
        // A busy machine may miss the moment; what is wrong stays wrong.
        cell = await matrix.cell(a, b, hasRelay)
        t.diagnostic(`again: ${line(a, b, hasRelay, cell)}`)
      }
      const [ours, stock] = [cell['ours-ours'], cell['stock-stock']]
      assert.ok(!isBetter(stock.reached, ours.reached), `stock clients reach ${stock.reached}, ours ${ours.reached}`)
      assert.equal(ours.reached, wanted, 'ours and ours')
      assert.equal(cell['ours-stock'].reached, wanted, 'ours and stock')
      assert.ok(ours.lost <= ours.sent / 4, `${ours.lost} of ${ours.sent} packets lost`)
    })
  }
})
