import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RelayTestStep, RelayTestView } from '../../electron/contract/relay-test-view.ts'
import { relayCarrying, relayTested, relayUnreachable } from '../../test/e2e/fixtures/relays.ts'
import { relayPlate } from './relay.ts'
import { seriousStep, testedPlate, testVerdict } from './relay-test.ts'

const changed = (change: Partial<Record<RelayTestStep['name'], RelayTestStep['result']>>): RelayTestView => ({
  steps: relayTested.steps.map((step) => ({ ...step, result: change[step.name] ?? step.result })),
  failing: undefined,
})

test('the verdict is yes, some, no, or none when nobody could try', () => {
  assert.equal(testVerdict(relayTested)?.title, 'Others can reach this relay: yes')
  assert.equal(testVerdict(changed({ 'reachable-v4': 'limited' }))?.title, 'Others can reach this relay: some of them')
  assert.equal(testVerdict(relayUnreachable)?.title, 'Others can reach this relay: no')
  assert.equal(testVerdict(changed({ 'reachable-v4': 'untested' })), undefined)
})

test('one family is enough to be reached', () => {
  assert.equal(seriousStep(changed({ 'reachable-v6': 'failed' })), undefined)
  assert.equal(seriousStep(changed({ 'reachable-v4': 'failed', 'reachable-v6': 'ok' })), undefined)
  assert.equal(seriousStep(changed({ 'reachable-v4': 'failed' }))?.name, 'reachable-v4')
  assert.equal(seriousStep(changed({ policy: 'failed' }))?.name, 'policy')
})

test('a relay that nobody reaches is no filled plate', () => {
  const plate = relayPlate(relayCarrying, { wish: undefined, isConnected: true })
  assert.equal(testedPlate(plate, undefined), plate)
  assert.equal(testedPlate(plate, relayTested), plate)
  assert.deepEqual(
    { ...testedPlate(plate, relayUnreachable), line: '' },
    { look: 'warn', drawing: 'joined', badge: true, word: 'Relay not reachable', line: '', at: 'on' },
  )
})
