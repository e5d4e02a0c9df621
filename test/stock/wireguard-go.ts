// A plain WireGuard of others, driven through its own configuration socket, so that no wg tool is needed.

import { createConnection } from 'node:net'
import type { Namespace } from '../lab/netns.ts'
import { until, type LabProcess } from '../lab/process.ts'
import { stockBinary } from './binaries.ts'

/** Its sockets live in the file system, which namespaces share: device names must differ on the whole machine. */
const SOCKET_DIR = '/var/run/wireguard'

export interface WireguardGoOptions {
  /** At most 15 characters, and unique on this machine while it runs. */
  readonly tun: string
  readonly privateKey: Uint8Array
  readonly listenPort: number
}

export interface WireguardPeer {
  readonly publicKey: Uint8Array
  readonly allowedIps: readonly string[]
  readonly endpoint?: string
  readonly persistentKeepaliveSeconds?: number
}

export interface WireguardPeerState {
  readonly endpoint: string | undefined
  /** Seconds since the epoch; 0 = never. */
  readonly lastHandshakeSeconds: number
  readonly rxBytes: number
  readonly txBytes: number
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

export class WireguardGo {
  readonly process: LabProcess
  readonly tun: string

  constructor(process: LabProcess, tun: string) {
    this.process = process
    this.tun = tun
  }

  /** One request of its configuration protocol; answers the fields as they come. */
  async request(text: string): Promise<readonly (readonly [key: string, value: string])[]> {
    const answer = await new Promise<string>((resolve, reject) => {
      let got = ''
      const socket = createConnection(`${SOCKET_DIR}/${this.tun}.sock`, () => socket.write(`${text}\n\n`))
      socket.setTimeout(5_000, () => socket.destroy(new Error('wireguard-go did not answer')))
      socket.setEncoding('utf8').on('data', (chunk: string) => {
        got += chunk
        if (got.endsWith('\n\n')) socket.end()
      })
      socket.once('error', reject)
      socket.once('close', () => resolve(got))
    })
    const fields = answer
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)] as const)
    const errno = fields.find(([key]) => key === 'errno')?.[1]
    if (errno !== '0') throw new Error(`wireguard-go: errno ${errno ?? 'missing'} for ${text.split('=')[0]}`)
    return fields
  }

  /** Adds the peer or replaces what is known of it. */
  async setPeer(peer: WireguardPeer): Promise<void> {
    const keepalive = peer.persistentKeepaliveSeconds
    await this.request(
      [
        'set=1',
        `public_key=${hex(peer.publicKey)}`,
        ...(peer.endpoint === undefined ? [] : [`endpoint=${peer.endpoint}`]),
        ...(keepalive === undefined ? [] : [`persistent_keepalive_interval=${keepalive}`]),
        'replace_allowed_ips=true',
        ...peer.allowedIps.map((cidr) => `allowed_ip=${cidr}`),
      ].join('\n'),
    )
  }

  async peerState(publicKey: Uint8Array): Promise<WireguardPeerState | undefined> {
    const fields = await this.request('get=1')
    const start = fields.findIndex(([key, value]) => key === 'public_key' && value === hex(publicKey))
    if (start < 0) return undefined
    const next = fields.findIndex(([key], index) => index > start && key === 'public_key')
    const own = new Map(fields.slice(start, next < 0 ? undefined : next))
    return {
      endpoint: own.get('endpoint'),
      lastHandshakeSeconds: Number(own.get('last_handshake_time_sec') ?? 0),
      rxBytes: Number(own.get('rx_bytes') ?? 0),
      txBytes: Number(own.get('tx_bytes') ?? 0),
    }
  }

  async stop(): Promise<void> {
    await this.process.stop()
  }
}

/** Starts it with key and port set; addresses and `link set up` are the caller's. */
export async function startWireguardGo(ns: Namespace, options: WireguardGoOptions): Promise<WireguardGo> {
  const started = ns.start([stockBinary('wireguard-go', 'wireguard-go'), '-f', options.tun], {
    name: `wireguard-go-${options.tun}`,
    env: { LOG_LEVEL: 'error' },
  })
  const wireguard = new WireguardGo(started, options.tun)
  await until(
    async () => {
      if (!started.isRunning) throw new Error('it ended')
      await wireguard.request(`set=1\nprivate_key=${hex(options.privateKey)}\nlisten_port=${options.listenPort}`)
      return true
    },
    { timeoutMs: 5_000, everyMs: 30, what: `wireguard-go ${options.tun}`, explain: () => started.output },
  )
  return wireguard
}
