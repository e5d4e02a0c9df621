import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RelayStatusView } from '../../electron/contract/relay-view.ts'
import { relayCarrying, relayOff, relayPaused } from '../../test/e2e/fixtures/relays.ts'
import { bytesText, rateText } from './amounts.ts'
import { carriedPairs, isLocal, rateChoices, relayPlate, verdictOf } from './relay.ts'
import { untilText } from './time.ts'

const calm = { wish: undefined, isConnected: true } as const
const running = (over: Partial<RelayStatusView>): RelayStatusView => ({ ...relayCarrying, ...over })

test('the plate says on, off, starting, waiting and not allowed', () => {
  assert.equal(relayPlate(relayOff, calm).word, 'Relay is off')
  const on = relayPlate(relayCarrying, calm)
  assert.deepEqual(
    [on.drawing, on.word, on.line, on.at],
    ['serving', 'Relay is on', 'Carrying 2 pairs · 2.7 Mbit/s', 'on'],
  )
  assert.equal(relayPlate(running({ sessions: [] }), calm).line, 'Carrying nobody now')
  const forbidden = { ...relayOff, wantedPort: 0 }
  assert.equal(relayPlate(forbidden, calm).look, 'warn')
  const waiting = relayPlate(forbidden, { ...calm, isConnected: false })
  assert.deepEqual([waiting.look, waiting.at, waiting.line], ['off', 'on', 'Starts when this computer connects'])
  assert.equal(relayPlate(relayOff, { ...calm, wish: 'on' }).at, 'half')
  assert.equal(relayPlate(relayCarrying, { ...calm, wish: 'off' }).at, 'off')
})

test('the verdict claims no more than what is known of the way in', () => {
  const title = (over: Partial<RelayStatusView>): string | undefined =>
    verdictOf(running({ portMapped: undefined, ...over }), true)?.title
  assert.equal(title({}), 'Others come to 84.19.3.77:40311')
  assert.equal(title({ staticEndpoints: ['192.0.2.1:7'] }), 'Others come to 192.0.2.1:7')
  const forwarded = { portMapped: '84.19.3.77:50001', portMappedVia: 'pcp' } as const
  assert.equal(title(forwarded), 'Others come to 84.19.3.77:50001')
  assert.match(verdictOf(running(forwarded), true)?.text ?? '', /forwards this port to it \(PCP\)/)
  const nested = { portMapped: '100.72.0.9:50001', mapping: 'varies' } as const
  assert.match(verdictOf(running(nested), true)?.text ?? '', /a second router stands in front/)
  assert.equal(title({ mapping: 'varies' }), 'Others may not get in from outside')
  assert.match(
    verdictOf(running({ portMapped: undefined, mapping: 'unknown' }), true)?.text ?? '',
    /Nobody came from there yet/,
  )
  assert.equal(title({ endpoints: ['192.168.1.5:40311'] }), 'Only machines in this local network can come')
  assert.equal(title({ endpoints: [] }), 'Looking for the addresses of this computer')
  assert.equal(verdictOf(relayOff, true), undefined)
  assert.equal(verdictOf({ ...relayOff, wantedPort: 0 }, true)?.kind, 'warn')
  assert.equal(verdictOf({ ...relayOff, wantedPort: 0 }, false), undefined, 'off with the whole agent is no verdict')
})

test('a pause says why, and when it ends', () => {
  const now = new Date(2026, 2, 18, 14, 2).getTime()
  const said = (reason: keyof typeof relayPaused): (string | undefined)[] => {
    const view = relayPaused[reason]
    const verdict = verdictOf(view, true, now)
    assert.equal(relayPlate(view, calm).word, 'Relay is paused')
    return [relayPlate(view, calm).line, verdict?.title, verdict?.text]
  }
  assert.deepEqual(said('quota'), [
    'This month’s amount is carried',
    `Relays again ${untilText(relayOff.manners.renewsAt, now)}`,
    '200 GB are carried this month. A larger amount below lets it go on now.',
  ])
  const [, title, text] = said('hours')
  assert.match(title ?? '', /^Relays again today at 23:02$|^Relays again today at 11:02/)
  assert.match(text ?? '', /^The hours are set below\. Who is carried now goes on until /)
  assert.deepEqual(said('battery').slice(0, 2), ['This computer runs on battery', 'Relays again on mains power'])
  assert.deepEqual(said('metered').slice(0, 2), ['This network costs by volume', 'Relays again in another network'])
  assert.equal(relayPlate(relayPaused.quota, { ...calm, wish: 'off' }).word, 'Relay is off')
})

test('a pair counts once both ends are bound, with the traffic of both', () => {
  const pairs = carriedPairs(relayCarrying)
  assert.deepEqual(
    pairs.map(({ names }) => names.join(' ')),
    ['cabin-pi build-01', 'pixel-8 ines-laptop'],
  )
  assert.equal(pairs[1]?.bytes, 1_250_000_000 + 84_000_000)
})

test('tells addresses that lead in from outside from those that do not', () => {
  for (const local of [
    '192.168.1.5:1',
    '10.0.0.1:1',
    '172.20.1.1:1',
    '100.72.0.1:1',
    '[fd00::1]:1',
    '[fe80::1%eth0]:1',
  ])
    assert.ok(isLocal(local), local)
  for (const outside of ['84.19.3.77:1', '172.32.0.1:1', '100.128.0.1:1', '[2001:db8::1]:1'])
    assert.ok(!isLocal(outside), outside)
})

test('amounts are short', () => {
  assert.deepEqual([0, 999, 1_000, 1_234_567, 62e9].map(bytesText), ['0 B', '999 B', '1 kB', '1.2 MB', '62 GB'])
  assert.deepEqual([0, 38_750, 300_000, 2_500_000].map(rateText), ['0 bit/s', '310 kbit/s', '2.4 Mbit/s', '20 Mbit/s'])
})

test('a limit set elsewhere is among the choices, no limit last', () => {
  const choices = rateChoices(777_000)
  assert.ok(choices.includes(777_000))
  assert.equal(choices.at(-1), 0)
})
