import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PathHistory } from './path-history.ts'
import { REASON_TEXT, type PathView } from './path-view.ts'

const view = (kind: PathView['kind'], more: Partial<PathView> = {}): PathView => ({
  kind,
  sinceWallMs: 0,
  reason: 'answered',
  reasonText: REASON_TEXT.answered,
  active: true,
  trusted: true,
  ...more,
})
const HOUR_MS = 3_600_000

test('a change says when, from where, to where and why', () => {
  const history = new PathHistory()
  const direct = view('direct', { endpoint: '192.0.2.1:1', latencyMs: 12 })
  const derp = view('derp', { region: 7, reason: 'silent', reasonText: REASON_TEXT.silent })
  history.note(direct, derp, 5 * HOUR_MS)
  assert.deepEqual(history.list(5 * HOUR_MS), [
    {
      atWallMs: 5 * HOUR_MS,
      from: { kind: 'direct', endpoint: '192.0.2.1:1' },
      to: { kind: 'derp', region: 7 },
      reason: 'silent',
      reasonText: 'The path in use stopped answering.',
    },
  ])
})

test('changes are kept for a day, and not more than two hundred', () => {
  const history = new PathHistory()
  for (let hour = 0; hour < 30; hour++) history.note(view('derp'), view('direct'), hour * HOUR_MS)
  assert.deepEqual(
    history.list(29 * HOUR_MS).map(({ atWallMs }) => atWallMs / HOUR_MS),
    Array.from({ length: 25 }, (_, index) => index + 5),
  )
  assert.equal(history.list(100 * HOUR_MS).length, 0)
  for (let turn = 0; turn < 1_000; turn++) history.note(view('derp'), view('direct'), 100 * HOUR_MS + turn)
  assert.equal(history.list(100 * HOUR_MS + 1_000).length, 200)
  assert.equal(history.list(100 * HOUR_MS + 1_000).at(-1)?.atWallMs, 100 * HOUR_MS + 999)
})
