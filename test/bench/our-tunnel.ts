// One end of our tunnel for the benchmark: opens the data plane, sets the one peer and a direct path to it, and stays.
// Addresses are the parent's. The configuration, with its keys, comes through the environment, not the command line.

import { openDataplane } from '../../electron/dataplane/native-dataplane.ts'

/** What subjects.ts hands over. Keys in hex, addresses without a prefix length. */
interface Config {
  readonly privateKey: string
  readonly peerKey: string
  readonly tun: string
  readonly mtuBytes: number
  readonly udpPort: number
  readonly ownAddress: string
  readonly peerAddress: string
  readonly endpoint: string
}

const PEER = 1
const EVERY_PORT = { firstPort: 0, lastPort: 65_535 }

const config = JSON.parse(process.env['PEERWAY_BENCH_TUNNEL'] ?? '{}') as Config

const dataplane = openDataplane({
  privateKey: Buffer.from(config.privateKey, 'hex'),
  tun: { kind: 'name', name: config.tun, mtuBytes: config.mtuBytes },
  udpPort: config.udpPort,
  firewallMark: 0,
})
dataplane.onRecords((records) => {
  for (const record of records) if (record.kind === 'fatal') throw new Error(record.message)
})
dataplane.setPeers([
  {
    id: PEER,
    publicKey: Buffer.from(config.peerKey, 'hex'),
    allowedIps: [`${config.peerAddress}/32`],
    persistentKeepaliveSeconds: 0,
  },
])
dataplane.setFilter(
  [{ sources: ['*'], destinations: [{ ip: `${config.ownAddress}/32`, ...EVERY_PORT }], protocols: [] }],
  [`${config.ownAddress}/32`],
)
dataplane.setPath(PEER, {
  leg: { kind: 'direct', endpoint: config.endpoint },
  fallback: undefined,
  trustedUntilMs: Infinity,
})
const stay = setInterval(() => undefined, 60_000)
process.once('SIGTERM', () => {
  clearInterval(stay)
  dataplane.close()
})
process.stdout.write('ready\n')
