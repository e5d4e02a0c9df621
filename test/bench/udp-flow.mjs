// A datagram each few milliseconds and its echo, plain JavaScript so that it starts quickly in a namespace.
//
//   node udp-flow.mjs echo PORT
//   node udp-flow.mjs send ADDRESS PORT EVERY_MS BYTES   prints "first MS", then "NUMBER SENT_MS ANSWERED_MS" for each answer
//
// Times are wall-clock milliseconds with a fraction, so that they can be laid beside a packet capture.

import { createSocket } from 'node:dgram'

const [mode, ...rest] = process.argv.slice(2)
const socket = createSocket('udp4')
const nowMs = () => performance.timeOrigin + performance.now()
// While the tunnel's device is away, sending fails; that is part of what is measured.
socket.on('error', () => undefined)

if (mode === 'echo') {
  socket.on('message', (message, from) => socket.send(message, from.port, from.address, () => undefined))
  socket.bind(Number(rest[0]), () => console.log('listening'))
} else {
  const [address, port, everyMs, bytes] = rest
  /** @type {Map<number, number>} */
  const sent = new Map()
  let number = 0
  socket.on('message', (message) => {
    const answered = message.readUInt32BE(0)
    const sentMs = sent.get(answered)
    // An answer that came twice, over two ways, counts once.
    if (sentMs === undefined) return
    sent.delete(answered)
    console.log(`${answered} ${sentMs.toFixed(1)} ${nowMs().toFixed(1)}`)
  })
  socket.bind(() => {
    const send = () => {
      const datagram = Buffer.alloc(Number(bytes))
      datagram.writeUInt32BE(number)
      const sentMs = nowMs()
      if (number === 0) console.log(`first ${sentMs.toFixed(1)}`)
      sent.set(number++, sentMs)
      socket.send(datagram, Number(port), address, () => undefined)
    }
    send()
    setInterval(send, Number(everyMs))
  })
}
