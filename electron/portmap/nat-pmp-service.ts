import { joinEndpoint } from '../base/endpoint.ts'
import {
  NAT_PMP_RESULT,
  natPmpExternalAddressRequest,
  natPmpMapRequest,
  readNatPmpResponse,
  type NatPmpExternalAddress,
} from '../wire/natpmp/message.ts'
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

export class NatPmpService implements MappingService {
  readonly via = 'pmp'
  readonly #parts: ExchangeParts
  readonly #localPort: number
  readonly #epoch = new Epoch()
  #external: { readonly address: string; readonly port: number } | undefined

  constructor(parts: ExchangeParts, localPort: number) {
    this.#parts = parts
    this.#localPort = localPort
  }

  async map(signal: AbortSignal): Promise<MapResult> {
    const wanted = { internalPort: this.#localPort, externalPort: this.#external?.port ?? 0 }
    const [external, mapped] = await Promise.all([
      this.#askAddress(signal),
      this.#askMap({ ...wanted, lifetimeSeconds: LEASE_SECONDS }, signal),
    ])
    if (!external || !mapped) return { kind: 'silent' }
    if (external.result !== NAT_PMP_RESULT.success) return refused(external.result)
    if (mapped.result !== NAT_PMP_RESULT.success) return refused(mapped.result)
    if (!isUsableExternal(external.address)) return { kind: 'refused', reason: unusableReason(external.address) }
    if (mapped.externalPort === 0 || mapped.lifetimeSeconds === 0)
      return { kind: 'refused', reason: 'the router answered with an empty mapping' }
    this.#epoch.note(mapped.epochSeconds, this.#parts.clock.now())
    this.#external = { address: external.address, port: mapped.externalPort }
    const endpoint = joinEndpoint(external.address, mapped.externalPort)
    return { kind: 'mapped', endpoint, lifetimeSeconds: mapped.lifetimeSeconds }
  }

  async check(signal: AbortSignal): Promise<CheckResult> {
    const external = await this.#askAddress(signal)
    if (!external) return 'silent'
    const restarted = this.#epoch.note(external.epochSeconds, this.#parts.clock.now())
    return restarted || external.address !== this.#external?.address ? 'lost' : 'kept'
  }

  async release(signal: AbortSignal): Promise<void> {
    await this.#askMap({ internalPort: this.#localPort, externalPort: 0, lifetimeSeconds: 0 }, signal)
  }

  #askAddress(signal: AbortSignal): Promise<NatPmpExternalAddress | undefined> {
    const read = (bytes: Uint8Array): NatPmpExternalAddress | undefined => {
      const response = readNatPmpResponse(bytes)
      return response.kind === 'external-address' ? response : undefined
    }
    return ask(this.#parts, natPmpExternalAddressRequest(), read, signal)
  }

  #askMap(request: Parameters<typeof natPmpMapRequest>[0], signal: AbortSignal) {
    const read = (bytes: Uint8Array) => {
      const response = readNatPmpResponse(bytes)
      if (response.kind !== 'map') return undefined
      const isOurs = response.internalPort === this.#localPort || response.result !== NAT_PMP_RESULT.success
      return isOurs ? response : undefined
    }
    return ask(this.#parts, natPmpMapRequest(request), read, signal)
  }
}

function refused(result: number): MapResult {
  const reasons: Readonly<Record<number, string>> = {
    [NAT_PMP_RESULT.notAuthorized]: 'port mapping is turned off in the router',
    [NAT_PMP_RESULT.networkFailure]: 'the router has no external address',
    [NAT_PMP_RESULT.outOfResources]: 'the router has no room for another mapping',
  }
  return { kind: 'refused', reason: reasons[result] ?? `the router refused (NAT-PMP result ${result})` }
}
