// A stock server with clients of others and our own in one tailnet.

import { test } from 'node:test'
import { createLab } from '../lab/lab.ts'
import { runOrSkip } from '../lab/netns.ts'
import { startDerper } from '../stock/derper.ts'
import { startHeadscale } from '../stock/headscale.ts'
import { joinMixed, MIXED_LAB, mixedUnavailable, nobodyComplains, talksInEveryWay } from './mixed-tailnet.ts'

const options = runOrSkip(mixedUnavailable('headscale'), 600_000)

test('our agents and stock clients under a stock server reach each other, direct and over DERP', options, async (t) => {
  const lab = await createLab(MIXED_LAB)
  t.after(() => lab.close())
  const derper = await startDerper(lab, lab.host('derp'))
  const headscale = await startHeadscale(lab, lab.coord, { derpMap: derper.derpMap })
  const authKey = await headscale.createAuthKey(await headscale.createUser('anna'), { reusable: true })
  const tailnet = await joinMixed(lab, { loginServer: headscale.url, authKey })

  await t.test('every pair talks', () => talksInEveryWay(lab, tailnet))
  await t.test('nobody complains', () => nobodyComplains(tailnet.all))
})
