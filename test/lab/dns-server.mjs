// A small name server: answers A questions from a table, and says on stdout what it is asked.
//
//   node dns-server.mjs ADDRESS '{"www.public.test": "203.0.113.5"}'

import { createSocket } from 'node:dgram'

const [, , address = '127.0.0.1', table = '{}'] = process.argv
/** @type {Record<string, string>} */
const names = JSON.parse(table)
const socket = createSocket('udp4')

socket.on('message', (question, from) => {
  let name = ''
  let at = 12
  for (let length = question[at] ?? 0; length > 0; length = question[at] ?? 0) {
    name += `${question.subarray(at + 1, at + 1 + length).toString('latin1')}.`
    at += 1 + length
  }
  name = name.slice(0, -1).toLowerCase()
  const type = question.readUInt16BE(at + 1)
  const value = type === 1 ? names[name] : undefined
  console.log(`asked ${name} ${type}`)
  const head = Buffer.from(question.subarray(0, at + 5))
  const isKnown = name in names
  head.writeUInt16BE(0x8580 | (isKnown ? 0 : 3), 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(value === undefined ? 0 : 1, 6)
  head.writeUInt32BE(0, 8)
  const answer =
    value === undefined
      ? Buffer.alloc(0)
      : Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, ...value.split('.').map(Number)])
  socket.send(Buffer.concat([head, answer]), from.port, from.address)
})
socket.bind(53, address, () => console.log('listening'))
