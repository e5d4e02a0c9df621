import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RoutingView } from '../../electron/contract/routing-view.ts'
import type { NodeId } from '../../electron/contract/snapshot.ts'
import { peer } from '../../test/e2e/fixtures/samples.ts'
import {
  EXIT_ROUTES,
  exitNodeChoices,
  relayFact,
  routesOffered,
  routesTyped,
  usesText,
  waitsForApproval,
} from './sharing.ts'

const OFF: RoutingView = {
  acceptRoutes: false,
  acceptDns: false,
  exitNode: undefined,
  exitNodeAllowLan: false,
  advertiseRoutes: [],
  advertiseExitNode: false,
}
const id = (text: string): NodeId => text as NodeId
const address = '100.64.7.7'
const own = { addresses: [address, 'fd7a:115c:a1e0::7'] }
const peers = {
  [id('nzoo')]: peer('zoo', { ...own, allowedIps: [`${address}/32`, '192.168.1.0/24', '10.9.0.0/16'] }),
  [id('nnas')]: peer('nas', { ...own, allowedIps: [`${address}/32`, ...EXIT_ROUTES] }),
  [id('nold')]: peer('old', { ...own, allowedIps: [address, '0.0.0.0/0'], online: false }),
  [id('nplain')]: peer('plain', { ...own, allowedIps: [`${address}/32`, 'fd7a:115c:a1e0::7/128'] }),
}

test('only machines that lead to the internet can be chosen, and the chosen one stays in the list', () => {
  const names = (chosen?: string): string[] => exitNodeChoices(peers, chosen).map(([, name]) => name)
  assert.deepEqual(names(), ['None', 'nas', 'old (away)'])
  assert.deepEqual(names('nplain'), ['None', 'nas', 'old (away)', 'plain (away)'])
  assert.deepEqual(exitNodeChoices(peers, 'nx').at(-1), ['nx', 'a machine that is gone'])
})

test('networks behind machines are told from the machines themselves', () => {
  assert.deepEqual(routesOffered(peers), [
    { route: '192.168.1.0/24', by: 'zoo' },
    { route: '10.9.0.0/16', by: 'zoo' },
  ])
})

test('what is used is said in a line', () => {
  assert.equal(usesText(OFF, peers), 'Nothing')
  assert.equal(usesText({ ...OFF, acceptDns: true, acceptRoutes: true }, peers), 'Names, 2 routes')
  const exit = { ...OFF, exitNode: id('nnas'), acceptDns: true }
  assert.equal(usesText(exit, peers), 'Exit node nas, Names')
  assert.equal(usesText({ ...OFF, acceptRoutes: true }, {}), 'Nothing')
})

test('what is offered waits until the server leads to it', () => {
  assert.equal(waitsForApproval(EXIT_ROUTES, ['100.64.0.2/32']), true)
  assert.equal(waitsForApproval(EXIT_ROUTES, ['100.64.0.2/32', ...EXIT_ROUTES]), false)
  assert.equal(waitsForApproval([], ['100.64.0.2/32']), false)
  assert.equal(waitsForApproval(EXIT_ROUTES, undefined), false)
})

test('the relay is told beside its name', () => {
  const relay = { state: 'running', isWanted: true, pairs: 0 } as const
  assert.equal(relayFact(relay, true), 'On')
  assert.equal(relayFact({ ...relay, pairs: 2 }, true), 'Carrying 2 pairs')
  assert.equal(relayFact({ ...relay, state: 'off', isWanted: false }, true), 'Off')
  assert.equal(relayFact({ ...relay, state: 'paused', pause: 'battery' }, true), 'Paused on battery')
})

test('networks are typed in any usual way', () => {
  assert.deepEqual(routesTyped(' 10.0.0.0/8,192.168.1.0/24;\n fd00::/8 '), ['10.0.0.0/8', '192.168.1.0/24', 'fd00::/8'])
  assert.deepEqual(routesTyped('  '), [])
})
