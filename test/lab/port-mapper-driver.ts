// A port mapper alone, in the namespace it is started in, that speaks one of its protocols only: whatever else it would send
// is dropped here. Prints each view as a line of JSON; SIGTERM ends it, and gives the mapping back.
//
//   node --import tsx test/lab/port-mapper-driver.ts pmp|pcp|upnp PORT

import { systemClock } from '../../electron/base/clock.ts'
import { splitEndpoint } from '../../electron/base/endpoint.ts'
import { createLogger } from '../../electron/base/log.ts'
import { defaultGateway } from '../../electron/os/gateway.ts'
import { PortMapper } from '../../electron/portmap/port-mapper.ts'
import type { PortmapIo } from '../../electron/portmap/portmap-io.ts'
import { systemPortmapIo } from '../../electron/portmap/system-io.ts'
import { NAT_PMP_PORT, NAT_PMP_VERSION } from '../../electron/wire/natpmp/message.ts'

const [, , wanted = '', port = ''] = process.argv
const system = systemPortmapIo(defaultGateway)
const io: PortmapIo = {
  ...system,
  openUdp(ownAddress, onPacket) {
    const open = system.openUdp(ownAddress, onPacket)
    return {
      ...open,
      send(to, bytes) {
        const isSmall = splitEndpoint(to)?.port === NAT_PMP_PORT
        const protocol = !isSmall ? 'upnp' : bytes[0] === NAT_PMP_VERSION ? 'pmp' : 'pcp'
        if (protocol === wanted) open.send(to, bytes)
      },
    }
  },
}
const mapper = new PortMapper({
  clock: systemClock,
  log: createLogger((line) => process.stderr.write(`${line}\n`)),
  io,
  onChange: (view) => process.stdout.write(`${JSON.stringify(view)}\n`),
})
mapper.setLocalPort(Number(port))
const keepsAlive = setInterval(() => {}, 1_000)
process.once('SIGTERM', () => {
  void mapper.close().then(() => clearInterval(keepsAlive))
})
