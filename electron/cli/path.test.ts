import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isCoded } from '../base/errors.ts'
import { parseCommand } from './command.ts'
import { changeText, path, placeText, policyOf } from './path.ts'

function wish(...args: readonly string[]) {
  const call = parseCommand(path, args)
  assert.ok(call !== 'help')
  return policyOf(call)
}

test('a policy is for one machine, or for all', () => {
  assert.deepEqual(wish('--policy', 'only-relay', '--relay', 'nas', '--family=ipv6', '--derp-data=false', 'pi'), {
    peer: 'pi',
    mode: 'only-relay',
    relay: 'nas',
    family: 'ipv6',
    derpData: false,
  })
  assert.deepEqual(wish('--policy=default'), {
    peer: undefined,
    mode: 'default',
    relay: undefined,
    family: undefined,
    derpData: undefined,
  })
  assert.equal(wish('nas'), undefined)
})

test('what is no policy is wrong usage', () => {
  for (const args of [
    ['--policy', 'fast'],
    ['--relay', 'nas'],
    ['--derp-data=false'],
    ['--policy=automatic', '--family=5'],
  ])
    assert.throws(
      () => wish(...args),
      (error) => isCoded(error, 'cli/usage'),
      args.join(' '),
    )
})

test('places and changes in words', () => {
  assert.equal(placeText({ kind: 'peer-relay', via: 'nas' }), 'through nas')
  assert.equal(placeText({ kind: 'none', via: undefined }), 'no way')
  assert.match(
    changeText({
      at: 0,
      from: { kind: 'direct', via: '192.0.2.1:1' },
      to: { kind: 'derp', via: 'own' },
      reason: 'silent',
      reasonText: 'It stopped answering.',
    }),
    /^\d\d:\d\d:\d\d {2}direct at 192\.0\.2\.1:1 → over DERP own: It stopped answering\.$/,
  )
})
