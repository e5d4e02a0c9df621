// A router in virtual time, for tests: speaks all three protocols, can restart, fall silent and refuse. What it sends and
// reads are the bytes of the wire.

import type { VirtualClock } from '../base/clock.ts'
import { equalBytes, utf8 } from '../base/bytes.ts'
import { joinEndpoint, splitEndpoint, type Endpoint } from '../base/endpoint.ts'
import { NAT_PMP_PORT, NAT_PMP_RESULT, natPmpResponse, readNatPmpRequest } from '../wire/natpmp/message.ts'
import { PCP_RESULT, PCP_VERSION, pcpResponse, readPcpRequest, type PcpMapRequest } from '../wire/pcp/message.ts'
import { UPNP_FAULT } from '../wire/upnp/soap.ts'
import { SSDP_PORT } from '../wire/upnp/ssdp.ts'
import { child, childText, readXml } from '../wire/upnp/xml.ts'
import type { Gateway, HttpReply, HttpRequest, PortmapIo, UdpPort } from './portmap-io.ts'

const ONE_WAY_MS = 1
const HTTP_PORT = 5000

interface Entry {
  readonly internalPort: number
  readonly by: 'pmp' | 'pcp' | 'upnp'
  readonly nonce: Uint8Array | undefined
  readonly untilMs: number
}

export class FakeRouter implements PortmapIo {
  readonly clock: VirtualClock
  gatewayNow: Gateway | undefined = { address: '192.168.1.1', ownAddress: '192.168.1.2' }
  speaks = { pmp: true, pcp: true, upnp: true }
  silent = false
  externalAddress = '198.51.100.7'
  refuses = false
  /** Most that is granted. */
  leaseSeconds = 7_200
  igd: 1 | 2 = 2
  onlyPermanentLeases = false
  /** External ports that other machines have. */
  readonly taken = new Set<number>()
  readonly table = new Map<number, Entry>()
  /** What was asked, in order: "pmp map 41641", "upnp AddPortMapping". */
  readonly asked: string[] = []
  readonly announced = new Set<() => void>()
  openPorts = 0
  #startedAtMs: number

  constructor(clock: VirtualClock) {
    this.clock = clock
    this.#startedAtMs = clock.now() - 1_000_000
  }

  restart(): void {
    this.#startedAtMs = this.clock.now()
    this.table.clear()
  }

  gateway(): Gateway | undefined {
    return this.gatewayNow
  }

  openUdp(_ownAddress: string, onPacket: (from: Endpoint, bytes: Uint8Array) => void): UdpPort {
    let isOpen = true
    this.openPorts += 1
    const answer = (port: number, bytes: Uint8Array): void => {
      const from = joinEndpoint(this.gatewayNow?.address ?? '', port)
      this.clock.after(ONE_WAY_MS * 2, () => {
        if (isOpen) onPacket(from, bytes)
      })
    }
    return {
      send: (to, bytes) => {
        if (this.silent || !this.gatewayNow) return
        const { address, port } = splitEndpoint(to) ?? { address: '', port: 0 }
        if (port === NAT_PMP_PORT && address === this.gatewayNow.address) {
          const reply = bytes[0] === PCP_VERSION ? this.#pcp(bytes) : this.#pmp(bytes)
          if (reply) answer(NAT_PMP_PORT, reply)
        } else if (port === SSDP_PORT && this.speaks.upnp) answer(SSDP_PORT, utf8(this.ssdpAnswer()))
      },
      close: () => {
        if (isOpen) this.openPorts -= 1
        isOpen = false
      },
    }
  }

  onAnnouncement(_gateway: Gateway, told: () => void): () => void {
    this.announced.add(told)
    return () => this.announced.delete(told)
  }

  ssdpAnswer(): string {
    const target = `urn:schemas-upnp-org:device:InternetGatewayDevice:${this.igd}`
    return `HTTP/1.1 200 OK\r\nST: ${target}\r\nLOCATION: http://evil.example:${HTTP_PORT}/root.xml\r\n\r\n`
  }

  http(request: HttpRequest, _mostBytes: number, signal: AbortSignal): Promise<HttpReply> {
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true })
      if (this.silent) return
      const isHere = request.address === this.gatewayNow?.address && request.port === HTTP_PORT && this.speaks.upnp
      this.clock.after(ONE_WAY_MS * 2, () => {
        if (isHere) resolve(this.upnpReply(request))
        else reject(new Error('connection refused'))
      })
    })
  }

  upnpReply(request: HttpRequest): HttpReply {
    if (request.path === '/root.xml') return { status: 200, body: utf8(this.description()) }
    if (request.path !== '/ctl' || !request.body) return { status: 404, body: new Uint8Array() }
    const call = child(readXml(request.body), 'Body')?.children[0]
    if (!call) return { status: 400, body: new Uint8Array() }
    this.asked.push(`upnp ${call.name}`)
    const port = Number(childText(call, 'NewExternalPort'))
    const values = this.#soap(call.name, port, Number(childText(call, 'NewInternalPort')), {
      lease: Number(childText(call, 'NewLeaseDuration')),
    })
    return typeof values === 'number' ? soapFault(values) : soapResponse(call.name, values)
  }

  description(): string {
    const type = `urn:schemas-upnp-org:service:WANIPConnection:${this.igd}`
    return `<root><device><serviceList><service><serviceType>${type}</serviceType><controlURL>/ctl</controlURL></service></serviceList></device></root>`
  }

  get #epochSeconds(): number {
    return Math.floor((this.clock.now() - this.#startedAtMs) / 1000)
  }

  #pmp(bytes: Uint8Array): Uint8Array | undefined {
    if (!this.speaks.pmp) return undefined
    const request = readNatPmpRequest(bytes)
    const result = this.refuses ? NAT_PMP_RESULT.outOfResources : NAT_PMP_RESULT.success
    const epochSeconds = this.#epochSeconds
    if (request === 'external-address') {
      this.asked.push('pmp address')
      return natPmpResponse({ kind: 'external-address', result: 0, epochSeconds, address: this.externalAddress })
    }
    const { internalPort, lifetimeSeconds } = request
    this.asked.push(`pmp ${lifetimeSeconds === 0 ? 'release' : 'map'} ${internalPort}`)
    const externalPort = this.refuses ? 0 : this.#grant('pmp', request.externalPort, internalPort, lifetimeSeconds)
    return natPmpResponse({
      kind: 'map',
      result,
      epochSeconds,
      internalPort,
      externalPort,
      lifetimeSeconds: Math.min(lifetimeSeconds, this.leaseSeconds),
    })
  }

  #pcp(bytes: Uint8Array): Uint8Array | undefined {
    if (!this.speaks.pcp) return undefined
    const request = readPcpRequest(bytes)
    const head = { result: PCP_RESULT.success, lifetimeSeconds: 0, epochSeconds: this.#epochSeconds }
    if (request === 'announce') {
      this.asked.push('pcp announce')
      return pcpResponse({ kind: 'announce', ...head })
    }
    const { internalPort, lifetimeSeconds, nonce } = request
    this.asked.push(`pcp ${lifetimeSeconds === 0 ? 'release' : 'map'} ${internalPort}`)
    const refused = this.refuses || this.#isAnothers(request)
    const externalPort = refused ? 0 : this.#grant('pcp', request.externalPort, internalPort, lifetimeSeconds, nonce)
    return pcpResponse({
      kind: 'map',
      ...head,
      result: refused ? PCP_RESULT.notAuthorized : PCP_RESULT.success,
      lifetimeSeconds: Math.min(lifetimeSeconds, this.leaseSeconds),
      nonce,
      internalPort,
      externalPort,
      externalAddress: this.externalAddress,
    })
  }

  /** RFC 6887 §11.3: a mapping is changed only by whoever knows its nonce. */
  #isAnothers({ internalPort, nonce }: PcpMapRequest): boolean {
    return [...this.table.values()].some(
      (entry) => entry.internalPort === internalPort && entry.nonce !== undefined && !equalBytes(entry.nonce, nonce),
    )
  }

  #grant(by: Entry['by'], wanted: number, internalPort: number, lifetimeSeconds: number, nonce?: Uint8Array): number {
    for (const [port, entry] of this.table) if (entry.internalPort === internalPort) this.table.delete(port)
    if (lifetimeSeconds === 0) return 0
    let port = wanted === 0 ? internalPort : wanted
    while (this.taken.has(port)) port += 1
    const seconds = Math.min(lifetimeSeconds, this.leaseSeconds)
    this.table.set(port, { internalPort, by, nonce, untilMs: this.clock.now() + seconds * 1000 })
    return port
  }

  #soap(
    action: string,
    port: number,
    internalPort: number,
    { lease }: { lease: number },
  ): number | Readonly<Record<string, string | number>> {
    switch (action) {
      case 'GetExternalIPAddress':
        return { NewExternalIPAddress: this.externalAddress }
      case 'GetStatusInfo':
        return { NewConnectionStatus: 'Connected' }
      case 'GetSpecificPortMappingEntry':
        return this.table.has(port) ? { NewInternalClient: this.gatewayNow?.ownAddress ?? '' } : UPNP_FAULT.noSuchEntry
      case 'DeletePortMapping':
        return this.table.delete(port) ? {} : UPNP_FAULT.noSuchEntry
      case 'AddAnyPortMapping':
      case 'AddPortMapping': {
        const isAny = action === 'AddAnyPortMapping'
        if (isAny && this.igd === 1) return UPNP_FAULT.invalidAction
        if (this.refuses) return UPNP_FAULT.notAuthorized
        if (this.onlyPermanentLeases && lease > 0) return UPNP_FAULT.onlyPermanentLeases
        if (!isAny && this.taken.has(port)) return UPNP_FAULT.conflict
        const granted = this.#grant('upnp', port, internalPort, lease === 0 ? 1e9 : lease)
        return isAny ? { NewReservedPort: granted } : {}
      }
      default:
        return UPNP_FAULT.invalidAction
    }
  }
}

function soapResponse(action: string, values: Readonly<Record<string, string | number>>): HttpReply {
  const inner = Object.entries(values).map(([name, value]) => `<${name}>${value}</${name}>`)
  const body = `<s:Envelope><s:Body><u:${action}Response>${inner.join('')}</u:${action}Response></s:Body></s:Envelope>`
  return { status: 200, body: utf8(body) }
}

function soapFault(code: number): HttpReply {
  const error = `<UPnPError><errorCode>${code}</errorCode><errorDescription>no</errorDescription></UPnPError>`
  const body = `<s:Envelope><s:Body><s:Fault><detail>${error}</detail></s:Fault></s:Body></s:Envelope>`
  return { status: 500, body: utf8(body) }
}
