import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type AgentSnapshot, emptySnapshot } from '../contract/snapshot.ts'
import { connected, inOwn, manyPeers, NOW_MS, ownRunning, profiles, waiting } from '../../test/e2e/fixtures/samples.ts'
import { trayDrawing, type TrayItem, trayMenu, trayTooltip } from './tray-model.ts'

const labels = (agent: AgentSnapshot): string[][] =>
  trayMenu(agent, 'Lindenhof', NOW_MS).map((group) => group.map(({ label }) => label))

test('the menu has the switch, this computer, the machines with their paths, and the app', () => {
  const [first, second, machines, gives, last] = labels(connected)
  assert.deepEqual(first, ['Connected to Lindenhof'])
  assert.deepEqual(second, ['ines-desktop, 100.64.0.2'])
  assert.deepEqual(machines?.slice(0, 5), [
    'Machines',
    'cabin-pi, DERP fra, 74 ms',
    'ines-laptop, direct, 12 ms',
    'media-box, idle',
    'nas, direct (LAN), 1 ms',
  ])
  assert.deepEqual(gives, ['This PC gives: nothing'])
  assert.deepEqual(last, ['Open Peerway', 'Quit'])
})

test('at most 15 machines are listed, the rest is one step away', () => {
  const machines = labels({ ...connected, peers: manyPeers })[2] ?? []
  assert.equal(machines.length, 1 + 15 + 1)
  assert.equal(machines.at(-1), 'Show all 300 machines')
})

test('each machine copies its addresses and its name, two levels deep', () => {
  const machine = trayMenu(connected, 'Lindenhof', NOW_MS)[2]?.[1]
  const items: readonly TrayItem[] = machine?.items ?? []
  assert.match(items[0]?.label ?? '', /^Copy 100\.64\./)
  assert.match(items[1]?.label ?? '', /^Copy fd7a:/)
  assert.equal(items[2]?.label, 'Copy cabin-pi.lindenhof.net')
  assert.equal(items[3]?.label, 'Open details')
  assert.ok(items.every((item) => item.items === undefined))
})

test('off shows names without paths, and before the first network there is nothing to switch', () => {
  const off = labels({ ...connected, state: 'stopped' })
  assert.deepEqual(off[0], ['Connect to Lindenhof'])
  assert.equal(off[2]?.[1], 'cabin-pi')
  assert.deepEqual(labels({ ...emptySnapshot, state: 'needs-login' }), [['Open Peerway', 'Quit']])
})

test('networks are one of several, one that is signed out leads to its page, and more can be added', () => {
  const agent = { ...inOwn, profiles }
  const menu = trayMenu(agent, 'Lindenhof', NOW_MS, ownRunning).flat()
  const item = menu.find(({ label }) => label === 'Network: Lindenhof')
  assert.deepEqual(
    item?.items?.map(({ label, isChosen }) => [label, isChosen]),
    [
      ['Lindenhof, ines', true],
      ['Fieldwork, ines@fieldwork.example', false],
      ['measurement-rack-network-of-the-long-beam-hall.example.org, ines', false],
      ['old.example.net, signed out', false],
      ['Add a network…', undefined],
      ['Manage networks…', undefined],
    ],
  )
  assert.deepEqual(item?.items?.[1]?.action, { do: 'switch', profile: 'b2' })
  assert.deepEqual(item?.items?.[3]?.action, { do: 'open-page', page: { name: 'networks' } })
  assert.deepEqual(item?.items?.[4]?.action, { do: 'open-page', page: { name: 'join' } })
})

test('a machine that asks to join is the first thing in the menu', () => {
  const [first] = trayMenu(inOwn, 'Lindenhof', NOW_MS, { ...ownRunning, waiting })
  assert.deepEqual(first, [
    { label: '“karin-pixel” wants to join…', action: { do: 'open-page', page: { name: 'waiting', id: 'w1' } } },
  ])
})

test('a relay that carries someone shows in drawing, tooltip and menu', () => {
  const serving = (pairs: number) => ({ ...connected, relay: { state: 'running', isWanted: true, pairs } as const })
  assert.equal(trayDrawing(serving(0), 1).way, 'joined')
  assert.equal(trayDrawing(serving(2), 1).way, 'serving')
  assert.equal(trayTooltip(serving(0), 'Lindenhof'), 'Peerway: connected to Lindenhof, 8 of 10 online')
  assert.equal(
    trayTooltip(serving(2), 'Lindenhof'),
    'Peerway: connected to Lindenhof, 8 of 10 online, relaying 2 pairs',
  )
  const item = trayMenu(serving(1), 'Lindenhof', NOW_MS)[3]?.[0]
  assert.equal(item?.label, 'This PC gives: relay, carrying 1 pair')
  assert.deepEqual(item?.action, { do: 'open-page', page: { name: 'relay' } })
})

test('drawing and tooltip say the state', () => {
  const problem = { code: 'os/no-rights', message: 'No rights.' }
  assert.deepEqual(trayDrawing(connected, 1), { ends: 'on', way: 'joined', attention: false })
  assert.deepEqual(trayDrawing({ ...connected, warnings: [problem] }, 1).attention, true)
  assert.deepEqual(trayDrawing({ ...connected, state: 'starting' }, 2), {
    ends: 'half',
    way: 'growing-2',
    attention: false,
  })
  assert.deepEqual(trayDrawing({ ...connected, state: 'stopped', problem }, 1), {
    ends: 'off',
    way: 'none',
    attention: true,
  })
  assert.equal(trayTooltip(connected, 'Lindenhof'), 'Peerway: connected to Lindenhof, 8 of 10 online')
  assert.equal(trayTooltip({ ...connected, state: 'needs-login' }, 'Lindenhof'), 'Peerway: signed out')
})
