// The add-ons of the matrix, each with and without a relay, ours beside stock. Two cells in `npm test`; all of them, in some
// five minutes, with `npm run test:lab`. PEERWAY_PLACE, a regular expression, picks by name.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stockUnavailable } from '../stock/binaries.ts'
import { isBetter, Matrix, shownCell } from './matrix.ts'
import { PLACES } from './matrix-places.ts'
import { labUnavailable, runOrSkip } from './netns.ts'
import { peerwayUnavailable } from './peerway.ts'
import { portMappingUnavailable } from './port-mapping.ts'

const isWhole = process.env['PEERWAY_LAB'] === 'whole'
const wantedName = new RegExp(process.env['PEERWAY_PLACE'] ?? '')
const unavailable =
  labUnavailable() ?? peerwayUnavailable() ?? portMappingUnavailable() ?? stockUnavailable('tailscale-new')
const options = runOrSkip(unavailable, 240_000)

for (const { says, ground, without, withRelay, short } of PLACES) {
  if (!wantedName.test(says) || (!isWhole && !short)) continue
  test(says, options, async (t) => {
    const matrix = await Matrix.create(ground)
    t.after(() => matrix.lab.close())
    for (const relay of ['without', 'withRelay'] as const) {
      if (!isWhole && relay !== short) continue
      const hasRelay = relay === 'withRelay'
      await t.test(hasRelay ? 'with a relay' : 'without a relay', async (st) => {
        if (hasRelay) await matrix.setRelay(true)
        const wanted = hasRelay ? withRelay : without
        let cell = await matrix.meet(wanted)
        st.diagnostic(`${says}: ${shownCell(wanted, cell)}`)
        if (cell['ours-ours'].reached !== wanted || cell['ours-stock'].reached !== wanted) {
          // A busy machine may miss the moment; what is wrong stays wrong.
          cell = await matrix.meet(wanted)
          st.diagnostic(`again: ${shownCell(wanted, cell)}`)
        }
        const [ours, stock] = [cell['ours-ours'], cell['stock-stock']]
        assert.ok(!isBetter(stock.reached, ours.reached), `stock clients reach ${stock.reached}, ours ${ours.reached}`)
        assert.equal(ours.reached, wanted, 'ours and ours')
        assert.equal(cell['ours-stock'].reached, wanted, 'ours and stock')
      })
    }
  })
}
