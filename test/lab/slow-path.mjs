// A long way in small, without the kernel's help: carries TCP connections or UDP packets on, each after a delay.
//
//   node slow-path.mjs tcp PORT TO_ADDRESS TO_PORT DELAY_MS
//   node slow-path.mjs udp ADDRESS PORT FROM_ADDRESS TO_ADDRESS TO_PORT DELAY_MS [LATER_DELAY_MS]
//
// The other delay is that from the signal SIGUSR2 on.

import { createSocket } from 'node:dgram'
import { connect, createServer } from 'node:net'

const [kind, ...args] = process.argv.slice(2)

let isLater = false
process.on('SIGUSR2', () => {
  isLater = true
})

/**
 * In order, whatever timers do.
 * @param {number} delayMs
 * @param {number} [laterDelayMs]
 */
const later = (delayMs, laterDelayMs = delayMs) => {
  /** @type {(() => void)[]} */
  const waiting = []
  return (/** @type {() => void} */ work) => {
    waiting.push(work)
    setTimeout(() => waiting.shift()?.(), isLater ? laterDelayMs : delayMs)
  }
}

/**
 * @param {number} port
 * @param {string} toAddress
 * @param {number} toPort
 * @param {number} delayMs
 */
function tcp(port, toAddress, toPort, delayMs) {
  const server = createServer((near) => {
    const far = connect(toPort, toAddress)
    carry(near, far, delayMs)
    carry(far, near, delayMs)
  })
  server.listen(port, () => console.log('ready'))
}

/**
 * @param {import('node:net').Socket} from
 * @param {import('node:net').Socket} to
 * @param {number} delayMs
 */
function carry(from, to, delayMs) {
  const delayed = later(delayMs)
  from.setNoDelay(true)
  from.on('data', (chunk) => delayed(() => to.write(chunk)))
  from.on('error', () => {})
  from.on('close', () => delayed(() => to.destroy()))
}

/**
 * Each sender has a socket of its own towards the other side, so that answers find back.
 * @param {string} address
 * @param {number} port
 * @param {string} fromAddress
 * @param {string} toAddress
 * @param {number} toPort
 * @param {number} delayMs
 * @param {number} laterDelayMs
 */
function udp(address, port, fromAddress, toAddress, toPort, delayMs, laterDelayMs) {
  const outside = createSocket('udp4')
  /** @type {Map<string, import('node:dgram').Socket>} */
  const inside = new Map()
  const delayed = later(delayMs, laterDelayMs)
  outside.on('message', (packet, sender) => {
    const key = `${sender.address} ${sender.port}`
    const known = inside.get(key)
    const socket = known ?? createSocket('udp4')
    if (!known) {
      socket.bind(0, fromAddress)
      socket.on('message', (answer) => delayed(() => outside.send(answer, sender.port, sender.address)))
      inside.set(key, socket)
    }
    delayed(() => socket.send(packet, toPort, toAddress))
  })
  outside.bind(port, address, () => console.log('ready'))
}

const [a = '', b = '', c = '', d = '', e = '', f = '', g = f] = args
if (kind === 'tcp') tcp(Number(a), b, Number(c), Number(d))
else udp(a, Number(b), c, d, Number(e), Number(f), Number(g))
