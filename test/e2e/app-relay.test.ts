// The app at home, behind a router that maps ports: one switch makes it a relay, and two agents behind hard routers, who
// cannot reach each other, come over it. What is clicked is in app-relay-steps.ts.

import { join } from 'node:path'
import { test } from 'node:test'
import { createLab } from '../lab/lab.ts'
import { addressOf, pingUntil, systemPingUntil } from '../lab/mesh-node.ts'
import { runOrSkip } from '../lab/netns.ts'
import { peerwayUnavailable, startAgent, startCoord } from '../lab/peerway.ts'
import { portMappingUnavailable, startPortMapping } from '../lab/port-mapping.ts'
import { transfer } from '../lab/transfer.ts'
import { appUnavailable, startSteps, stepsDone } from './in-namespace.ts'

const HOME = 2
const unavailable = appUnavailable() ?? peerwayUnavailable() ?? portMappingUnavailable()

test('the app relays from a home, for two who cannot reach each other', runOrSkip(unavailable, 180_000), async (t) => {
  const lab = await createLab({ sites: [{ nat: 'hard' }, { nat: 'hard' }, { nat: 'hard' }] })
  t.after(() => lab.close())
  await startPortMapping(lab, HOME, { pmp: false })
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const authKey = await coord.createAuthKey('anna', { reusable: true })
  const steps = startSteps(lab.client(HOME).ns, 'app-relay-steps.ts', join(lab.nets.dir, 'app'), {
    PEERWAY_E2E_SERVER: coord.url,
    PEERWAY_E2E_KEY: authKey,
  })
  const agents = ['hard-one', 'hard-two'].map((hostname, site) => startAgent(lab, lab.client(site), { hostname }))
  const [a, b] = [await agents[0], await agents[1]]
  if (!a || !b) throw new Error('no agents')
  for (const agent of [a, b]) await agent.up({ loginServer: coord.url, authKey })
  await steps.waitForOutput(/^relaying$/m, 60_000)

  await systemPingUntil(a, await addressOf(b), 20_000)
  await pingUntil(a, b, 'peer-relay', 20_000)
  await transfer(a, b, { bytes: 1_000_000, timeoutMs: 30_000 })
  await stepsDone(steps)
})
