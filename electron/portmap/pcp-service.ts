import { createHmac, randomBytes } from 'node:crypto'
import { equalBytes } from '../base/bytes.ts'
import { joinEndpoint, type IpAddress } from '../base/endpoint.ts'
import {
  ANY_IPV4,
  PCP_NONCE_BYTES,
  PCP_RESULT,
  pcpAnnounceRequest,
  pcpMapRequest,
  type PcpMapped,
  readPcpResponse,
} from '../wire/pcp/message.ts'
import { Epoch } from './epoch.ts'
import { ask, type ExchangeParts } from './exchange.ts'
import {
  type CheckResult,
  isUsableExternal,
  LEASE_SECONDS,
  type MappingService,
  type MapResult,
  unusableReason,
} from './mapping-service.ts'

export class PcpService implements MappingService {
  readonly via = 'pcp'
  readonly #parts: ExchangeParts
  readonly #localPort: number
  /** Kept as long as the mapping: with another, a router has to refuse to renew or delete. */
  readonly #nonce: Uint8Array
  readonly #epoch = new Epoch()
  #external: { readonly address: IpAddress; readonly port: number } = { address: ANY_IPV4, port: 0 }

  constructor(parts: ExchangeParts, localPort: number, secret?: Uint8Array) {
    this.#parts = parts
    this.#localPort = localPort
    const { address, ownAddress } = parts.gateway
    const mapping = `pcp ${address} ${ownAddress} ${localPort}`
    const source = secret ? createHmac('sha256', secret).update(mapping).digest() : randomBytes(PCP_NONCE_BYTES)
    this.#nonce = Uint8Array.from(source.subarray(0, PCP_NONCE_BYTES))
  }

  async map(signal: AbortSignal): Promise<MapResult> {
    const mapped = await this.#ask(LEASE_SECONDS, signal)
    if (!mapped) return { kind: 'silent' }
    if (mapped.result !== PCP_RESULT.success) return refused(mapped.result)
    const { externalAddress, externalPort, lifetimeSeconds } = mapped
    if (!isUsableExternal(externalAddress)) return { kind: 'refused', reason: unusableReason(externalAddress) }
    if (externalPort === 0 || lifetimeSeconds === 0)
      return { kind: 'refused', reason: 'the router answered with an empty mapping' }
    this.#epoch.note(mapped.epochSeconds, this.#parts.clock.now())
    this.#external = { address: externalAddress, port: externalPort }
    return { kind: 'mapped', endpoint: joinEndpoint(externalAddress, externalPort), lifetimeSeconds }
  }

  async check(signal: AbortSignal): Promise<CheckResult> {
    const { clock, gateway } = this.#parts
    const answer = await ask(this.#parts, pcpAnnounceRequest(gateway.ownAddress), readPcpResponse, signal)
    if (answer?.kind !== 'announce') return 'silent'
    return this.#epoch.note(answer.epochSeconds, clock.now()) ? 'lost' : 'kept'
  }

  async release(signal: AbortSignal): Promise<void> {
    await this.#ask(0, signal)
  }

  #ask(lifetimeSeconds: number, signal: AbortSignal): Promise<PcpMapped | undefined> {
    const request = pcpMapRequest({
      clientAddress: this.#parts.gateway.ownAddress,
      lifetimeSeconds,
      nonce: this.#nonce,
      internalPort: this.#localPort,
      externalPort: this.#external.port,
      externalAddress: this.#external.address,
    })
    const read = (bytes: Uint8Array): PcpMapped | undefined => {
      const response = readPcpResponse(bytes)
      if (response.kind !== 'map' || response.internalPort !== this.#localPort) return undefined
      return equalBytes(response.nonce, this.#nonce) ? response : undefined
    }
    return ask(this.#parts, request, read, signal)
  }
}

function refused(result: number): MapResult {
  const reasons: Readonly<Record<number, string>> = {
    [PCP_RESULT.notAuthorized]: 'port mapping is turned off in the router',
    [PCP_RESULT.networkFailure]: 'the router has no external address',
    [PCP_RESULT.noResources]: 'the router has no room for another mapping',
    [PCP_RESULT.userExceededQuota]: 'the router grants this machine no more mappings',
    [PCP_RESULT.addressMismatch]: 'there is another router between this machine and the one that maps ports',
  }
  return { kind: 'refused', reason: reasons[result] ?? `the router refused (PCP result ${result})` }
}
