// Port mapping by UPnP: read the router's description, choose its service, call it by SOAP. Whatever the router writes, its
// URLs lead to the router only.

import { canonicalIp, joinEndpoint, type Endpoint, type IpAddress } from '../base/endpoint.ts'
import { WireError } from '../wire/codec.ts'
import { MAPPING_SERVICES, readUpnpDescription, type UpnpService as Described } from '../wire/upnp/description.ts'
import { readSoapAnswer, type SoapAnswer, soapCall, UPNP_FAULT, type UpnpAction } from '../wire/upnp/soap.ts'
import { MOST_XML_BYTES } from '../wire/upnp/xml.ts'
import type { ExchangeParts } from './exchange.ts'
import {
  type CheckResult,
  isUsableExternal,
  LEASE_SECONDS,
  type MappingService,
  type MapResult,
  unusableReason,
} from './mapping-service.ts'
import type { HttpReply, HttpRequest } from './portmap-io.ts'

/** One request, whatever the router does meanwhile. */
const REQUEST_MS = 2_000
/** A whole `map`. */
const MAP_MS = 6_000
const MOST_DESCRIPTIONS = 4
const MOST_SOAP_BYTES = 16 * 1024
const MOST_PATH_CHARS = 1_024
/** Another external port, a permanent lease, the older action: each is one more try. */
const MOST_TRIES = 6
const LOWEST_PORT = 1_024
/** Shown to people in the router's own pages. */
const DESCRIPTION = 'peerway'

interface Place {
  readonly port: number
  readonly path: string
}

interface Control extends Place {
  readonly type: Described['type']
}

export interface UpnpServiceOptions extends ExchangeParts {
  readonly localPort: number
  /** LOCATIONs as devices at the gateway's address sent them. */
  readonly locations: readonly string[]
  /** 0 to below 1. */
  readonly random: () => number
}

export class UpnpService implements MappingService {
  readonly via = 'upnp'
  readonly #options: UpnpServiceOptions
  #control: Control | undefined
  #external: { readonly address: IpAddress; readonly port: number } | undefined
  /** Found out at the first try. */
  #lease = LEASE_SECONDS
  #reason = 'the router describes no service that maps ports'

  constructor(options: UpnpServiceOptions) {
    this.#options = options
  }

  map(signal: AbortSignal): Promise<MapResult> {
    return this.#within<MapResult>(MAP_MS, signal, { kind: 'silent' }, async (limit) => {
      const known = this.#control
      const found = known ? await this.#withAddress(known, limit) : await this.#findControl(limit)
      if (!found) return { kind: 'refused', reason: this.#reason }
      this.#control = found.control
      if (!isUsableExternal(found.address)) return { kind: 'refused', reason: unusableReason(found.address) }
      const mapped = await this.#add(found.control, limit)
      if (typeof mapped === 'string') return { kind: 'refused', reason: mapped }
      this.#external = { address: found.address, port: mapped }
      const endpoint: Endpoint = joinEndpoint(found.address, mapped)
      return { kind: 'mapped', endpoint, lifetimeSeconds: LEASE_SECONDS }
    })
  }

  check(signal: AbortSignal): Promise<CheckResult> {
    return this.#within<CheckResult>(REQUEST_MS * 2, signal, 'silent', async (limit) => {
      const [control, external] = [this.#control, this.#external]
      if (!control || !external) return 'lost'
      if ((await this.#withAddress(control, limit))?.address !== external.address) return 'lost'
      const entry = await this.#call(
        control,
        'GetSpecificPortMappingEntry',
        { NewRemoteHost: '', NewExternalPort: external.port, NewProtocol: 'UDP' },
        limit,
      )
      if (entry.kind === 'fault') return entry.code === UPNP_FAULT.noSuchEntry ? 'lost' : 'kept'
      const leadsTo = entry.values.get('NewInternalClient')
      return leadsTo === undefined || leadsTo === this.#options.gateway.ownAddress ? 'kept' : 'lost'
    })
  }

  async release(signal: AbortSignal): Promise<void> {
    const [control, external] = [this.#control, this.#external]
    if (!control || !external) return
    const entry = { NewRemoteHost: '', NewExternalPort: external.port, NewProtocol: 'UDP' }
    await this.#within(REQUEST_MS, signal, undefined, async (limit) => {
      await this.#call(control, 'DeletePortMapping', entry, limit)
      return undefined
    })
  }

  async #findControl(signal: AbortSignal): Promise<{ control: Control; address: IpAddress } | undefined> {
    const controls: Control[] = []
    for (const location of this.#options.locations.slice(0, MOST_DESCRIPTIONS)) {
      const place = placeOf(location)
      if (place) controls.push(...(await this.#describe(place, signal)))
    }
    const byRank = controls.toSorted((a, b) => MAPPING_SERVICES.indexOf(a.type) - MAPPING_SERVICES.indexOf(b.type))
    let second: { control: Control; address: IpAddress } | undefined
    // A router has one for each way into the internet; the one that is up and has an address is meant.
    for (const control of byRank) {
      const found = await this.#withAddress(control, signal)
      if (!found || found.address === '0.0.0.0') continue
      if (byRank.length === 1 || (isUsableExternal(found.address) && (await this.#isConnected(control, signal))))
        return found
      second ??= found
    }
    if (byRank.length > 0 && !second) this.#reason = 'the router has no external address'
    return second
  }

  /** A description that cannot be had, or read, says nothing of the others. */
  async #describe(place: Place, signal: AbortSignal): Promise<readonly Control[]> {
    try {
      const reply = await this.#http({ ...place, headers: {}, body: undefined }, MOST_XML_BYTES, signal)
      if (reply.status !== 200) return []
      const { urlBase, services } = readUpnpDescription(reply.body)
      const base = placeOf(urlBase) ?? place
      return services.flatMap(({ type, controlUrl }) => {
        const control = placeOf(controlUrl, base)
        return control ? [{ type, ...control }] : []
      })
    } catch (error) {
      if (signal.aborted) throw error
      this.#reason = 'the router describes itself in a way that cannot be read'
      return []
    }
  }

  async #withAddress(
    control: Control,
    signal: AbortSignal,
  ): Promise<{ control: Control; address: IpAddress } | undefined> {
    const answer = await this.#call(control, 'GetExternalIPAddress', {}, signal)
    if (answer.kind === 'fault') return undefined
    const address = canonicalIp(answer.values.get('NewExternalIPAddress') ?? '')
    return address === undefined ? undefined : { control, address }
  }

  async #isConnected(control: Control, signal: AbortSignal): Promise<boolean> {
    const answer = await this.#call(control, 'GetStatusInfo', {}, signal)
    return answer.kind === 'done' && answer.values.get('NewConnectionStatus') === 'Connected'
  }

  /** The external port, or why there is none. */
  async #add(control: Control, signal: AbortSignal): Promise<number | string> {
    const { localPort, gateway } = this.#options
    let isAny = control.type.endsWith(':2')
    // The same port each time: after a crash, a mapping that never ends is found again instead of left behind.
    let externalPort = this.#external?.port ?? (localPort >= LOWEST_PORT ? localPort : this.#randomPort())
    let last = 'the router gave no reason'
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const answer = await this.#call(
        control,
        isAny ? 'AddAnyPortMapping' : 'AddPortMapping',
        {
          NewRemoteHost: '',
          NewExternalPort: externalPort,
          NewProtocol: 'UDP',
          NewInternalPort: localPort,
          NewInternalClient: gateway.ownAddress,
          NewEnabled: 1,
          NewPortMappingDescription: DESCRIPTION,
          NewLeaseDuration: this.#lease,
        },
        signal,
      )
      if (answer.kind === 'done') {
        const reserved = Number(answer.values.get('NewReservedPort'))
        return isAny && Number.isInteger(reserved) && reserved > 0 && reserved <= 0xff_ff ? reserved : externalPort
      }
      const { code, text } = answer
      last = `the router refused (UPnP fault ${code}${text === '' ? '' : `, ${text}`})`
      if (code === UPNP_FAULT.notAuthorized) return 'the router lets this machine map no ports'
      if ((code === UPNP_FAULT.onlyPermanentLeases || code === UPNP_FAULT.invalidArgs) && this.#lease > 0)
        this.#lease = 0
      else if (code === UPNP_FAULT.conflict) externalPort = this.#randomPort()
      else if (code === UPNP_FAULT.samePortValuesRequired && externalPort !== localPort) externalPort = localPort
      else if (isAny) isAny = false
      else break
    }
    return last
  }

  #randomPort(): number {
    return LOWEST_PORT + Math.floor(this.#options.random() * (0x1_00_00 - LOWEST_PORT))
  }

  async #call(
    control: Control,
    action: UpnpAction,
    args: Readonly<Record<string, string | number>>,
    signal: AbortSignal,
  ): Promise<SoapAnswer> {
    const { soapAction, body } = soapCall(control.type, action, args)
    const headers = { 'Content-Type': 'text/xml; charset="utf-8"', SOAPAction: soapAction }
    const reply = await this.#http({ ...control, headers, body }, MOST_SOAP_BYTES, signal)
    const none = { kind: 'fault', code: UPNP_FAULT.actionFailed, text: `HTTP status ${reply.status}` } as const
    // Faults come with status 500.
    if (reply.status !== 200 && reply.status !== 500) return none
    try {
      return readSoapAnswer(reply.body, action)
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      return none
    }
  }

  #http(
    request: Place & Pick<HttpRequest, 'headers' | 'body'>,
    mostBytes: number,
    signal: AbortSignal,
  ): Promise<HttpReply> {
    const { io, gateway } = this.#options
    const { port, path, headers, body } = request
    const { address, ownAddress } = gateway
    return this.#limited(REQUEST_MS, signal, (limit) =>
      io.http({ address, ownAddress, port, path, headers, body }, mostBytes, limit),
    )
  }

  /** Like `#limited`, and what fails or takes too long is `otherwise`. */
  async #within<T>(
    ms: number,
    signal: AbortSignal,
    otherwise: T,
    work: (limit: AbortSignal) => Promise<T>,
  ): Promise<T> {
    try {
      return await this.#limited(ms, signal, work)
    } catch {
      // Refused connections, resets, time: each means that nobody answered in a way that is of use.
      return otherwise
    }
  }

  async #limited<T>(ms: number, signal: AbortSignal, work: (limit: AbortSignal) => Promise<T>): Promise<T> {
    const limit = new AbortController()
    const stop = (): void => limit.abort()
    const cancel = this.#options.clock.after(ms, stop)
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    try {
      return await work(limit.signal)
    } finally {
      cancel()
      signal.removeEventListener('abort', stop)
    }
  }
}

/** Port and path of a URL; its host is not believed. Undefined for what is no http URL. */
function placeOf(url: string, base?: Place): Place | undefined {
  const parsed = parseUrl(url, base && `http://gateway:${base.port}${base.path}`)
  if (parsed?.protocol !== 'http:') return undefined
  const path = parsed.pathname + parsed.search
  return path.length > MOST_PATH_CHARS ? undefined : { port: parsed.port === '' ? 80 : Number(parsed.port), path }
}

function parseUrl(url: string, base: string | undefined): URL | undefined {
  try {
    return new URL(url, base)
  } catch {
    return undefined
  }
}
