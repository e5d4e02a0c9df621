// The real app under a real display server, in a network of its own: its windows, its own network, and a second machine that
// joins it. What is tested is in app-steps.ts.

import { test } from 'node:test'
import { Namespaces, runOrSkip } from '../lab/netns.ts'
import { appUnavailable, startSteps, stepsDone } from './in-namespace.ts'

const TEST_MS = 280_000

test('the app: own network, a second machine, copy, off and on', runOrSkip(appUnavailable(), TEST_MS), async (t) => {
  const nets = new Namespaces()
  t.after(() => nets.close())
  const [app, peer] = [await nets.create('app'), await nets.create('peer')]
  await nets.veth(
    { ns: app, name: 'eth0', cidrs: ['192.168.77.1/24'] },
    { ns: peer, name: 'eth0', cidrs: ['192.168.77.2/24'] },
  )
  await stepsDone(startSteps(app, 'app-steps.ts', nets.dir, { PEERWAY_E2E_PEER: peer.name }))
})
