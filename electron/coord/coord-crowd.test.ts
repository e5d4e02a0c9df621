// Many machines at once: real handshakes and streams in one process, so the number is what a shared machine bears.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startCoord } from './coord-server.ts'
import { operatorLogin } from './login/operator-login.ts'
import { TestMachine, type TestPoll } from './test-machine.ts'

const MACHINES = 60

async function pollAll(machines: readonly TestMachine[]): Promise<TestPoll[]> {
  return Promise.all(
    machines.map(async (machine) => {
      const poll = await machine.poll()
      const first = await poll.until((message) => message.node !== undefined, 30_000)
      assert.equal(first.peers?.length, machines.length - 1)
      return poll
    }),
  )
}

test('a crowd drops and returns at once: each has the whole tailnet, and small changes stay small', async (t) => {
  const stateDir = mkdtempSync(join(tmpdir(), 'peerway-crowd-'))
  const listen = { host: '127.0.0.1', port: 0 }
  const prepare = async () => ({ derpMap: { regions: new Map() } })
  const coord = await startCoord({ stateDir, listen, prepare, login: operatorLogin })
  const { key } = await coord.admin.createAuthKey({ reusable: true })
  const machines = Array.from({ length: MACHINES }, (_, i) => new TestMachine(coord.url, `same-name-${i % 3}`))
  t.after(async () => {
    for (const machine of machines) machine.close()
    await coord.close()
    rmSync(stateDir, { recursive: true, force: true })
  })
  for (const answer of await Promise.all(machines.map((one) => one.register({ auth: { authKey: key } }))))
    assert.equal(answer.error, '')
  const nodes = await coord.admin.listNodes()
  for (const of of [nodes.map(({ name }) => name), nodes.flatMap(({ addresses }) => addresses)])
    assert.equal(new Set(of).size, of.length, 'no name and no address twice')

  await pollAll(machines)
  for (const machine of machines) machine.close()
  const polls = await pollAll(machines)
  // Lets the news of the returning settle.
  await new Promise((resolve) => setTimeout(resolve, 1_500))
  assert.ok((await coord.admin.listNodes()).every(({ online }) => online))

  for (const poll of polls) poll.messages.length = 0
  const [first, ...others] = polls
  const [machine] = machines
  await machine?.update({ endpoints: ['198.51.100.1:41641'] })
  await Promise.all(
    others.map(async (poll) => {
      const message = await poll.until((message) => message.peersChangedPatch !== undefined)
      assert.deepEqual(message.peersChangedPatch?.[0]?.endpoints, ['198.51.100.1:41641'])
      assert.deepEqual([message.node, message.peers, message.peersChanged], [undefined, undefined, undefined])
    }),
  )
  for (const poll of polls) poll.messages.length = 0
  // The same again is no news: nobody hears anything.
  await machine?.update({ endpoints: ['198.51.100.1:41641'] })
  await new Promise((resolve) => setTimeout(resolve, 600))
  assert.ok(polls.every(({ messages }) => messages.length === 0))
  assert.ok(first)
})
