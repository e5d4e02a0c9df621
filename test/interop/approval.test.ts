// Stock clients of both versions where new devices need approval: they say so, reach nobody, and go on by themselves.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLab } from '../lab/lab.ts'
import { pingUntil } from '../lab/mesh-node.ts'
import { labUnavailable, runOrSkip } from '../lab/netns.ts'
import { peerwayUnavailable, startCoord } from '../lab/peerway.ts'
import { until } from '../lab/process.ts'
import { stockUnavailable } from '../stock/binaries.ts'
import { startTailscaled } from '../stock/tailscaled.ts'

const unavailable = labUnavailable() ?? peerwayUnavailable() ?? stockUnavailable('tailscale-new', 'tailscale-old')

test('a stock client waits for approval, and works once it has it', runOrSkip(unavailable, 120_000), async (t) => {
  const lab = await createLab({ sites: [{ nat: 'easy' }, { nat: 'easy' }] })
  t.after(() => lab.close())
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const authKey = await coord.createAuthKey('anna', { reusable: true })
  const first = await startTailscaled(lab, lab.client(0), { version: 'new', hostname: 'first' })
  await first.up({ loginServer: coord.url, authKey })
  await coord.cli('settings', '--device-approval', 'unless-pre-approved')
  const late = await startTailscaled(lab, lab.client(1), { version: 'old', hostname: 'late' })
  const isUp = late.up({ loginServer: coord.url, authKey })
  isUp.catch(() => {}) // of a client that gives up waiting before it is approved
  const stateOf = async (): Promise<string> => (await late.status()).BackendState
  await until(async () => (await stateOf()) === 'NeedsMachineAuth', {
    timeoutMs: 30_000,
    everyMs: 200,
    what: 'the client to say that it needs approval',
    explain: stateOf,
  })
  assert.deepEqual(Object.keys((await first.status()).Peer ?? {}), [], 'nobody sees who waits')
  assert.match(await coord.cli('nodes', 'approve'), /late/)
  await coord.cli('nodes', 'approve', 'late')
  await until(async () => (await stateOf()) === 'Running', {
    timeoutMs: 30_000,
    everyMs: 200,
    what: 'the client to go on',
    explain: stateOf,
  })
  await pingUntil(first, late, 'direct', 30_000)
})
