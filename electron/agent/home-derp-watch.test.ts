import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VirtualClock } from '../base/clock.ts'
import type { DerpRegionStatus } from '../derp/derp-pool.ts'
import { HomeDerpWatch } from './home-derp-watch.ts'

const home = (connected: boolean): DerpRegionStatus => ({
  region: 900,
  state: connected ? 'connected' : 'waiting',
  connected,
  isHome: true,
  silent: false,
  sinceMs: 0,
  lastFrameMs: undefined,
  errorCode: connected ? undefined : 'derp/unreachable',
  errorText: connected ? undefined : 'Nobody answers.',
  problem: undefined,
  droppedPackets: 0,
})

test('a home that is away for a moment is no worry, one that stays away is', () => {
  const clock = new VirtualClock()
  const watch = new HomeDerpWatch(clock, (region) => `region ${region}`)
  const said = (): string | undefined => watch.problem?.message
  watch.take([home(false)])
  assert.equal(said(), undefined)
  assert.ok(watch.isAway)
  clock.advance(11_000)
  watch.take([home(false)])
  assert.match(said() ?? '', /region 900 cannot be reached.*Nobody answers\.$/)
  watch.take([home(true)])
  assert.equal(said(), undefined)
  assert.ok(!watch.isAway)
})

test('without a home there is nothing to watch', () => {
  const watch = new HomeDerpWatch(new VirtualClock(), String)
  watch.take([{ ...home(false), isHome: false }])
  assert.ok(!watch.isAway)
})
