// How an agent ends: told to, or killed. The system must look as if it had never run; after a kill, once it has run again.

import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createLab, type Lab, type Machine } from './lab.ts'
import { addressOf, systemPingUntil } from './mesh-node.ts'
import { labUnavailable, runOrSkip } from './netns.ts'
import { agentPlace, peerwayUnavailable, startAgent, startCoord, type PeerwayCoord } from './peerway.ts'

const options = runOrSkip(labUnavailable() ?? peerwayUnavailable(), 120_000)

/** All of a machine's network that the agent touches, as text to compare. */
async function networkOf({ ns, address }: Machine): Promise<Record<string, string>> {
  const questions = {
    links: 'ip -br link show',
    addresses: 'ip -br addr show',
    routes4: 'ip -4 route show table all',
    routes6: 'ip -6 route show table all',
    rules4: 'ip -4 rule show',
    rules6: 'ip -6 rule show',
    ports: 'ss -Hlnu',
  }
  const answers: Record<string, string> = {}
  for (const [name, question] of Object.entries(questions)) answers[name] = await ns.run(question.split(' '))
  // Sockets that ask the router for a port mapping come and go while an agent runs.
  // The columns are as wide as the widest line, also one that is left out.
  const ports = (answers['ports'] ?? '').replaceAll(/ +/g, ' ').split('\n')
  answers['ports'] = ports.filter((line) => !line.includes(` ${address}:`)).join('\n')
  return answers
}

async function openLab(close: (fn: () => Promise<void>) => void): Promise<{ lab: Lab; coord: PeerwayCoord }> {
  const lab = await createLab({ sites: [{ nat: 'easy' }, { nat: 'easy' }] })
  close(() => lab.close())
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  return { lab, coord }
}

test('an agent leaves nothing behind', options, async (t) => {
  const { lab, coord } = await openLab((fn) => t.after(fn))
  const machine = lab.client(0)
  const before = await networkOf(machine)
  const other = await startAgent(lab, lab.client(1), { hostname: 'other' })
  await other.up({ loginServer: coord.url, authKey: await coord.createAuthKey('anna') })
  const otherAddress = await addressOf(other)
  const { socket } = agentPlace(lab, 'agent')
  let agent = await startAgent(lab, machine, { hostname: 'agent' })
  await agent.up({ loginServer: coord.url, authKey: await coord.createAuthKey('anna') })
  await systemPingUntil(agent, otherAddress, 10_000)
  const addresses = await agent.addresses()

  await t.test('while it runs its changes are where they belong', async () => {
    const now = await networkOf(machine)
    assert.notDeepEqual(now, before)
    for (const name of ['rules4', 'rules6']) assert.match(now[name] ?? '', /5310:.*0x80000.*\n5320:.*7152/)
    const main = await machine.ns.run(['ip', 'route', 'show', 'table', 'main'])
    assert.ok(!main.includes('peerway0'), `the main table has routes of ours:\n${main}`)
  })

  await t.test('when it is taken down', async () => {
    const down = await agent.cli('down')
    assert.equal(down.status, 0, down.stderr)
    assert.deepEqual(await networkOf(machine), before)
    const up = await agent.cli('up', '--timeout', '20s')
    assert.equal(up.status, 0, up.stderr)
    await systemPingUntil(agent, otherAddress, 10_000)
  })

  await t.test('when it is told to end', async () => {
    agent.process.signal('SIGTERM')
    assert.equal(await agent.process.exited, 0, agent.log())
    assert.deepEqual(await networkOf(machine), before)
    assert.ok(!existsSync(socket), 'the socket is still there')
  })

  await t.test('after it was killed, and has run again', async () => {
    agent = await startAgent(lab, machine, { hostname: 'agent' })
    await agent.untilState('Running', 20_000)
    const running = await networkOf(machine)
    agent.process.signal('SIGKILL')
    await agent.process.exited
    assert.ok(existsSync(socket), 'a kill leaves the socket behind')
    const crashed = await networkOf(machine)
    assert.equal(crashed['links'], before['links'], 'the device goes with its program')
    assert.notDeepEqual(crashed, before, 'a kill leaves something to clean up')

    agent = await startAgent(lab, machine, { hostname: 'agent' })
    await agent.untilState('Running', 20_000)
    assert.deepEqual(await agent.addresses(), addresses)
    await systemPingUntil(agent, otherAddress, 20_000)
    await systemPingUntil(other, addresses[0] ?? '', 20_000)
    assert.deepEqual((await networkOf(machine))['rules4'], running['rules4'], 'rules double up')
    await agent.stop()
    assert.deepEqual(await networkOf(machine), before)
  })

  await t.test('beside a second agent, whose rules it leaves alone', async () => {
    agent = await startAgent(lab, machine, { hostname: 'agent' })
    await agent.untilState('Running', 20_000)
    const running = await networkOf(machine)
    const second = await startAgent(lab, machine, { hostname: 'second', tun: 'second0', port: 41_642 })
    await second.up({ loginServer: coord.url, authKey: await coord.createAuthKey('anna') })
    await second.stop()
    const left = await networkOf(machine)
    for (const name of ['links', 'addresses', 'rules4', 'rules6']) assert.equal(left[name], running[name])
    await agent.stop()
    assert.deepEqual(await networkOf(machine), before)
  })

  await t.test('after it was killed, and ran again without reaching its server', async () => {
    agent = await startAgent(lab, machine, { hostname: 'agent' })
    await agent.untilState('Running', 20_000)
    agent.process.signal('SIGKILL')
    await agent.process.exited
    await coord.stop()
    agent = await startAgent(lab, machine, { hostname: 'agent' })
    await agent.stop()
    assert.deepEqual(await networkOf(machine), before)
  })

  await t.test('and its login is still whole', () => {
    const file = join(agentPlace(lab, 'agent').state, 'agent.json')
    const state = JSON.parse(readFileSync(file, 'utf8')) as { profiles: { nodeKey: unknown }[]; wantRunning: boolean }
    assert.equal(state.profiles.length, 1)
    assert.equal(typeof state.profiles[0]?.nodeKey, 'string')
    assert.equal(state.wantRunning, true)
  })
})
