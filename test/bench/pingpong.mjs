// UDP ping-pong, one datagram in flight. Plain JavaScript, so that it starts quickly in a namespace.
//
//   node pingpong.mjs serve ADDRESS PORT
//   node pingpong.mjs ask ADDRESS PORT COUNT     prints the round trips as JSON, microseconds, unsorted

import { createSocket } from 'node:dgram'

const [mode, address = '', port = '0', count = '0'] = process.argv.slice(2)
const socket = createSocket('udp4')
/** A datagram that was lost is asked again after this, and its time does not count. */
const LOST_MS = 200
const BYTES = 64

if (mode === 'serve') {
  socket.on('message', (message, from) => socket.send(message, from.port, from.address))
  socket.bind(Number(port), address, () => console.log('serving'))
} else {
  /** @type {number[]} */
  const times = []
  let sequence = 0
  let sentAt = 0n
  /** @type {NodeJS.Timeout | undefined} */
  let timer
  const ask = () => {
    const packet = Buffer.alloc(BYTES)
    packet.writeUInt32BE((sequence += 1))
    timer = setTimeout(ask, LOST_MS)
    sentAt = process.hrtime.bigint()
    socket.send(packet)
  }
  socket.on('message', (message) => {
    const now = process.hrtime.bigint()
    if (message.length !== BYTES || message.readUInt32BE(0) !== sequence) return
    clearTimeout(timer)
    times.push(Number(now - sentAt) / 1000)
    if (times.length < Number(count)) return ask()
    console.log(JSON.stringify(times))
    socket.close()
  })
  socket.on('error', () => {}) // "connection refused" while the server starts: asked again
  socket.connect(Number(port), address, ask)
}
