// A coordination server with DERP regions elsewhere, each a process that can be frozen by itself. Run in a namespace:
//
//   node --import tsx two-region-coord.ts STATE_DIR ADDRESS PORT REGION=ADDRESS=CERT_NAME…

import { startCoord } from '../../electron/coord/coord-server.ts'

const [stateDir = '', host = '', port = '', ...regions] = process.argv.slice(2)
const derpMap = {
  regions: new Map(
    regions.map((text) => {
      const [id, address = '', certName = ''] = text.split('=')
      const regionId = Number(id)
      const node = {
        name: `${id}a`,
        regionId,
        hostName: address,
        ipv4: address,
        certName,
        derpPort: 443,
        stunPort: 3478,
      }
      return [regionId, { regionId, regionCode: `lab${id}`, regionName: `Lab ${id}`, nodes: [node] }]
    }),
  ),
}
const server = await startCoord({
  stateDir,
  listen: { host, port: Number(port) },
  url: `http://${host}:${port}`,
  prepare: () => Promise.resolve({ derpMap }),
})
console.log(`ready ${server.url}`)
process.once('SIGTERM', () => void server.close().then(() => process.exit()))
