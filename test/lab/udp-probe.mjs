// A UDP program for the lab's own tests, plain JavaScript so that it starts quickly in a namespace.
//
//   node udp-probe.mjs echo ADDRESS:PORT…          answers each datagram with the address it came from
//   node udp-probe.mjs talk PORT ADDRESS:PORT…     sends "hello" to each every 100 ms; prints "FROM said TEXT"

import { createSocket } from 'node:dgram'

const [mode, ...rest] = process.argv.slice(2)

/** @param {string} text */
function split(text) {
  const at = text.lastIndexOf(':')
  return { address: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1)) }
}

if (mode === 'echo') {
  for (const where of rest) {
    const socket = createSocket('udp4')
    socket.on('message', (_, from) => socket.send(`${from.address}:${from.port}`, from.port, from.address))
    const { address, port } = split(where)
    socket.bind(port, address, () => console.log(`echo on ${where}`))
  }
} else {
  const [port, ...targets] = rest
  const socket = createSocket('udp4')
  socket.on('message', (message, from) => console.log(`${from.address}:${from.port} said ${String(message)}`))
  socket.on('error', (error) => console.log(`error ${error.message}`))
  socket.bind(Number(port), () => {
    const send = () => {
      for (const target of targets.map(split)) socket.send('hello', target.port, target.address, () => {})
    }
    send()
    setInterval(send, 100)
  })
}
