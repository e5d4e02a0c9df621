// DNS as administrators handle it. A change is checked as a whole before anything of it counts.

import { canonicalIp, splitEndpoint, joinEndpoint } from '../../base/endpoint.ts'
import { CoordError } from '../errors.ts'
import type { Registry, RegistryTransaction } from '../registry.ts'
import { canonicalDomain, type DnsRecord, dnsProblem, type DnsSettings, dnsSettings } from './dns-settings.ts'

/** Printed by --json, so the names are public interface. */
export interface DnsInfo extends DnsSettings {
  readonly baseDomain: string
}

/** Members left out stay as they are. */
export type DnsWish = Partial<Pick<DnsSettings, 'magicDns' | 'nameservers' | 'overrideLocal' | 'searchDomains'>>

export interface DnsAdminOptions {
  readonly registry: Registry
  readonly baseDomain: () => string
  readonly actor: string
}

export class DnsAdmin {
  readonly #options: DnsAdminOptions

  constructor(options: DnsAdminOptions) {
    this.#options = options
  }

  async get(): Promise<DnsInfo> {
    const { registry, baseDomain } = this.#options
    return { baseDomain: baseDomain(), ...registry.kept(dnsSettings) }
  }

  async set(wish: DnsWish, actor = this.#options.actor): Promise<DnsInfo> {
    const nameservers = wish.nameservers?.map(canonicalServer)
    const searchDomains = wish.searchDomains?.map(checkedDomain)
    return this.#change(actor, Object.keys(wish).join(' '), (now) => ({
      ...now,
      ...wish,
      ...(nameservers && { nameservers: [...new Set(nameservers)] }),
      ...(searchDomains && { searchDomains: [...new Set(searchDomains)] }),
    }))
  }

  /** No servers: the domain is like any other again. */
  async split(domain: string, servers: readonly string[], actor = this.#options.actor): Promise<DnsInfo> {
    const name = checkedDomain(domain)
    const wanted = [...new Set(servers.map(canonicalServer))]
    return this.#change(actor, `${name}: ${wanted.join(' ') || 'none'}`, (now) => {
      const { [name]: before, ...others } = now.split
      if (wanted.length === 0 && before === undefined)
        throw new CoordError('coord/not-found', `No servers are named for ${name}.`)
      return { ...now, split: wanted.length === 0 ? others : { ...others, [name]: wanted } }
    })
  }

  async addRecord(record: DnsRecord, actor = this.#options.actor): Promise<DnsInfo> {
    const added = { name: checkedDomain(record.name), value: canonicalIp(record.value) ?? record.value }
    return this.#change(actor, `+ ${added.name} ${added.value}`, (now) => ({
      ...now,
      records: [...now.records.filter((one) => !isSame(one, added)), added],
    }))
  }

  /** With one value, or all of the name. */
  async removeRecord(name: string, value: string | undefined, actor = this.#options.actor): Promise<DnsInfo> {
    const wanted = checkedDomain(name)
    const address = value === undefined ? undefined : (canonicalIp(value) ?? value)
    return this.#change(actor, `- ${wanted} ${address ?? ''}`, (now) => {
      const records = now.records.filter(
        (one) => one.name !== wanted || (address !== undefined && one.value !== address),
      )
      if (records.length === now.records.length)
        throw new CoordError('coord/not-found', `There is no such record of ${wanted}; see: peerway coord dns show.`)
      return { ...now, records }
    })
  }

  async #change(actor: string, detail: string, change: (now: DnsSettings) => DnsSettings): Promise<DnsInfo> {
    await this.#options.registry.transaction(async (tx: RegistryTransaction) => {
      const next = change(this.#options.registry.kept(dnsSettings))
      const problem = dnsProblem(next)
      if (problem !== undefined) throw new CoordError('coord/bad-argument', problem)
      await tx.setKept('dns', JSON.stringify(next))
      await tx.audit(actor, 'dns.set', 'dns', detail.slice(0, 1_000))
    })
    return this.get()
  }
}

const isSame = (a: DnsRecord, b: DnsRecord): boolean => a.name === b.name && a.value === b.value

function checkedDomain(text: string): string {
  const domain = canonicalDomain(text)
  if (domain === undefined) throw new CoordError('coord/bad-argument', `"${text}" is no domain such as corp.example.`)
  return domain
}

/** What is no address is left for the check to name. */
function canonicalServer(text: string): string {
  const endpoint = splitEndpoint(text)
  return canonicalIp(text) ?? (endpoint ? joinEndpoint(endpoint.address, endpoint.port) : text)
}
