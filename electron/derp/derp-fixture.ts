// What tests of this folder start from: a server on a loopback port, and a client that says whatever it is told to.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { TestContext } from 'node:test'
import { connect, type TLSSocket } from 'node:tls'
import type { NodePrivate } from '../crypto/keys.ts'
import { sealClientInfo } from '../wire/derp/handshake.ts'
import { decodeFrame, encodeFrame } from '../wire/derp/message.ts'
import { listenDerp } from './derp-listener.ts'
import type { DerpNode, DerpRegion } from './derp-map.ts'
import { DerpServer, type DerpServerOptions } from './derp-server.ts'
import { makeTlsIdentity } from './tls-identity.ts'
import { upgradeToDerp } from './upgrade.ts'

/** The longest that anything on loopback may take. */
export const WAIT_MS = 5_000

/** A server on a loopback port, and the region that leads there. */
export async function startServer(
  t: TestContext,
  options: DerpServerOptions = {},
): Promise<{ server: DerpServer; region: DerpRegion; node: DerpNode; stop: () => Promise<void> }> {
  const identity = makeTlsIdentity(['derp.test', '127.0.0.1'])
  const server = new DerpServer(options)
  const listener = await listenDerp({ server, identity, address: '127.0.0.1', port: 0 })
  t.after(() => listener.close())
  const node = {
    Name: '900a',
    RegionID: 900,
    HostName: 'derp.test',
    IPv4: '127.0.0.1',
    IPv6: 'none',
    DERPPort: listener.port,
    CertName: identity.sha256Raw,
  }
  return { server, node, region: { RegionID: 900, Nodes: [node] }, stop: () => listener.close() }
}

/** A login by hand, for what our own client would not do. */
export async function rawLogin(t: TestContext, node: DerpNode, key: NodePrivate): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port: node.DERPPort ?? 0, rejectUnauthorized: false })
  t.after(() => socket.destroy())
  const head = await upgradeToDerp(socket, node, undefined, AbortSignal.timeout(WAIT_MS))
  const [serverKey] = head.length > 0 ? [head] : ((await once(socket.resume(), 'data')) as [Uint8Array])
  const hello = decodeFrame(0x01, serverKey.subarray(5))
  assert.ok(hello.kind === 'serverKey')
  const info = { version: 2, canAckPings: false, isProber: false, appName: undefined, meshKey: undefined }
  socket.write(encodeFrame('clientInfo', sealClientInfo(key, hello.body.key, info)))
  await once(socket.resume(), 'data')
  return socket
}
