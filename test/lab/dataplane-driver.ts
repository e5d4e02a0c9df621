// One data plane in the namespace it is started in, driven through a Unix socket: a line of JSON in is a call of its
// interface, lines out are answers and records. What stands in for the agent in tests of the data plane alone.
//
//   node --import tsx test/lab/dataplane-driver.ts SOCKET TUN KEY_HEX UDP_PORT MTU

import { createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'

import { codeOf, messageOf } from '../../electron/base/errors.ts'
import { openDataplane } from '../../electron/dataplane/native-dataplane.ts'

const [, , socketPath = '', tunName = '', keyHex = '', udpPort = '0', mtu = '1280'] = process.argv

// JSON has neither bytes nor Infinity.
const revive = (_: string, value: unknown): unknown => {
  if (value === 'Infinity') return Infinity
  return typeof value === 'string' && value.startsWith('hex:') ? Buffer.from(value.slice(4), 'hex') : value
}
const replace = (_: string, value: unknown): unknown =>
  value instanceof Uint8Array ? `hex:${Buffer.from(value).toString('hex')}` : value

const dataplane = openDataplane({
  privateKey: Buffer.from(keyHex, 'hex'),
  tun: { kind: 'name', name: tunName, mtuBytes: Number(mtu) },
  udpPort: Number(udpPort),
  firewallMark: 0,
})

const clients = new Set<Socket>()
const send = (message: object) => {
  for (const client of clients) client.write(`${JSON.stringify(message, replace)}\n`)
}
dataplane.onRecords((records) => {
  for (const record of records) send({ record })
})

const calls: Record<string, (...args: never[]) => unknown> = {
  ports: () => dataplane.ports,
  now: () => performance.now(),
  setPeers: dataplane.setPeers.bind(dataplane),
  setFilter: dataplane.setFilter.bind(dataplane),
  setPath: dataplane.setPath.bind(dataplane),
  trust: dataplane.trust.bind(dataplane),
  sendRaw: dataplane.sendRaw.bind(dataplane),
  injectDerp: (region: number, packet: Uint8Array) =>
    dataplane.injectDerp(region, packet, Uint32Array.of(0, packet.length)),
  sendTunnel: dataplane.sendTunnel.bind(dataplane),
  counters: () => dataplane.counters(),
  rebind: dataplane.rebind.bind(dataplane),
  close: () => dataplane.close(),
}

const server = createServer((client) => {
  clients.add(client)
  client.on('error', () => client.destroy()).on('close', () => clients.delete(client))
  createInterface({ input: client }).on('line', (line) => {
    const { id, call, args } = JSON.parse(line, revive) as { id: number; call: string; args: never[] }
    try {
      client.write(`${JSON.stringify({ id, value: calls[call]?.(...args) }, replace)}\n`)
    } catch (error) {
      client.write(`${JSON.stringify({ id, error: messageOf(error), code: codeOf(error) })}\n`)
    }
  })
})
server.listen(socketPath, () => process.stdout.write('ready\n'))
process.once('SIGTERM', () => {
  dataplane.close()
  process.exit(0)
})
