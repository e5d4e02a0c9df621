import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VirtualClock } from '../base/clock.ts'
import { ServerWatch } from './server-watch.ts'

/** `answers` says whether the server answers a ping, 50 ms later. */
function watched(answers: () => boolean) {
  const clock = new VirtualClock()
  const events: string[] = []
  let asked = 0
  const watch = new ServerWatch({
    clock,
    ask: () => {
      asked++
      if (answers()) clock.after(50, () => watch.heard())
    },
    onSilent: (isSilent) => events.push(`${clock.now()} ${isSilent ? 'silent' : 'back'}`),
    onDead: () => events.push(`${clock.now()} dead`),
  })
  const startMs = clock.now()
  return {
    clock,
    watch,
    asked: () => asked,
    events: () => events.map((text) => `${Number(text.split(' ')[0]) - startMs} ${text.split(' ')[1]}`),
  }
}

test('a frozen server is suspected within two seconds while packets are sent, and given up four later', () => {
  const { clock, watch, events } = watched(() => false)
  for (let ms = 0; ms < 8_000; ms += 20) {
    watch.sent()
    clock.advance(20)
  }
  assert.deepEqual(events(), ['2000 silent', '6000 dead'])
})

test('an idle one is suspected after 21 s', () => {
  const { clock, events } = watched(() => false)
  clock.advance(60_000)
  assert.deepEqual(events(), ['21000 silent', '25000 dead'])
})

test('one that hears without ever sending anything of its own is asked once a second, and is not suspected', () => {
  const { clock, watch, asked, events } = watched(() => true)
  for (let ms = 0; ms < 10_000; ms += 20) {
    watch.sent()
    clock.advance(20)
  }
  assert.deepEqual(events(), [])
  assert.ok(asked() >= 8 && asked() <= 10, String(asked()))
})

test('one that talks is never asked, and costs one timer a second', () => {
  const { clock, watch, asked } = watched(() => true)
  for (let ms = 0; ms < 60_000; ms += 20) {
    watch.sent()
    clock.advance(10)
    watch.heard()
    clock.advance(10)
  }
  assert.equal(asked(), 0)
  assert.equal(clock.pendingTimers, 1)
})

test('a suspected server that says something is trusted again', () => {
  const { clock, watch, events } = watched(() => false)
  watch.sent()
  clock.advance(3_000)
  watch.heard()
  clock.advance(10_000)
  assert.deepEqual(events(), ['2000 silent', '3000 back'])
})

test('nothing happens once it is stopped', () => {
  const { clock, watch, events } = watched(() => false)
  watch.sent()
  watch.stop()
  clock.advance(60_000)
  assert.deepEqual(events(), [])
})
