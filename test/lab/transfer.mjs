// One TCP transfer with a hash over what was sent and over what arrived. Plain JavaScript, to start quickly.
//
//   node transfer.mjs receive ADDRESS PORT              prints {"bytes","sha256","longestGapMs"} at the end,
//                                                       and "received N" along the way
//   node transfer.mjs send ADDRESS PORT BYTES RATE      RATE in bytes per second, 0 = as fast as it goes;
//                                                       SIGUSR2 ends it early, with all that was sent up to then

import { createHash, randomBytes } from 'node:crypto'
import { createServer, connect } from 'node:net'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

const [mode, address = '', port = '0', bytes = '0', rate = '0'] = process.argv.slice(2)
const CHUNK_BYTES = 65_536
/** Shorter waits than this are not worth a timer. */
const STEP_MS = 20
const REPORT_EVERY_BYTES = 262_144

if (mode === 'receive') {
  const server = createServer((socket) => {
    const hash = createHash('sha256')
    let total = 0
    let last = performance.now()
    let longestGapMs = 0
    socket.on('data', (chunk) => {
      const now = performance.now()
      longestGapMs = Math.max(longestGapMs, now - last)
      last = now
      const steps = Math.floor(total / REPORT_EVERY_BYTES)
      total += chunk.length
      hash.update(chunk)
      if (Math.floor(total / REPORT_EVERY_BYTES) > steps) console.log(`received ${total}`)
    })
    socket.on('end', () => {
      console.log(JSON.stringify({ bytes: total, sha256: hash.digest('hex'), longestGapMs: Math.round(longestGapMs) }))
      socket.end()
      server.close()
    })
  })
  server.listen(Number(port), address, () => console.log('listening'))
} else {
  let total = Number(bytes)
  process.once('SIGUSR2', () => (total = 0))
  const socket = connect(Number(port), address)
  await once(socket, 'connect')
  console.log('connected')
  const hash = createHash('sha256')
  const perSecond = Number(rate)
  const started = performance.now()
  let sent = 0
  while (sent < total) {
    const chunk = randomBytes(Math.min(CHUNK_BYTES, total - sent))
    hash.update(chunk)
    sent += chunk.length
    if (!socket.write(chunk)) await once(socket, 'drain')
    const aheadMs = perSecond === 0 ? 0 : (sent / perSecond) * 1000 - (performance.now() - started)
    if (aheadMs > STEP_MS) await sleep(aheadMs)
  }
  socket.end()
  await once(socket.resume(), 'end') // the receiver has read all
  console.log(JSON.stringify({ bytes: sent, sha256: hash.digest('hex') }))
}
