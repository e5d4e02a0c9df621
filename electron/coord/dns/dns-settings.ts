// What the machines of a tailnet are told of DNS: which servers answer for what, and names of its own.

import { canonicalIp, isLoopback, splitEndpoint } from '../../base/endpoint.ts'
import { type KeptSetting, recordOf } from '../kept-settings.ts'
import { isBuiltInServer } from '../../wire/dns/built-in.ts'
import type { DnsConfigInput } from '../../wire/tailcfg/dns-config.ts'

export interface DnsSettings {
  /** Nodes have names below the base domain. */
  readonly magicDns: boolean
  /** For all names that nobody else answers for. */
  readonly nameservers: readonly string[]
  /** Those above instead of the machine's own; else only where it needs some. */
  readonly overrideLocal: boolean
  /** Domain to the servers that answer for it. */
  readonly split: Readonly<Record<string, readonly string[]>>
  /** Appended to short names, after the base domain. */
  readonly searchDomains: readonly string[]
  readonly records: readonly DnsRecord[]
}

export interface DnsRecord {
  /** Without a dot at the end. */
  readonly name: string
  /** An address: what other types there are, clients do not take. */
  readonly value: string
}

export const DEFAULT_DNS: DnsSettings = {
  magicDns: true,
  nameservers: [],
  overrideLocal: false,
  split: {},
  searchDomains: [],
  records: [],
}

const MOST_SERVERS = 16
const MOST_DOMAINS = 256
const MOST_SEARCH_DOMAINS = 32
const MOST_RECORDS = 2_000

export const dnsSettings: KeptSetting<DnsSettings> = {
  name: 'dns',
  parse(text) {
    const raw = recordOf(text)
    const settings = { ...DEFAULT_DNS, ...pick(raw) }
    // A damaged row must not take the names of all machines away.
    return dnsProblem(settings) === undefined ? settings : DEFAULT_DNS
  },
}

function pick(raw: Readonly<Record<string, unknown>>): Partial<DnsSettings> {
  const texts = (value: unknown): readonly string[] | undefined =>
    Array.isArray(value) && value.every((one) => typeof one === 'string') ? value : undefined
  const { magicDns, overrideLocal, split, records } = raw
  const nameservers = texts(raw['nameservers'])
  const searchDomains = texts(raw['searchDomains'])
  const routes = typeof split === 'object' && split !== null ? Object.entries(split) : []
  const kept = Array.isArray(records) ? records.flatMap((one: unknown) => recordFrom(one) ?? []) : undefined
  return {
    ...(typeof magicDns === 'boolean' && { magicDns }),
    ...(typeof overrideLocal === 'boolean' && { overrideLocal }),
    ...(nameservers && { nameservers }),
    ...(searchDomains && { searchDomains }),
    split: Object.fromEntries(
      routes.flatMap(([domain, value]) => {
        const servers = texts(value)
        return servers ? [[domain, servers]] : []
      }),
    ),
    ...(kept && { records: kept }),
  }
}

function recordFrom(raw: unknown): DnsRecord | undefined {
  if (typeof raw !== 'object' || raw === null) return undefined
  const { name, value } = raw as Record<string, unknown>
  return typeof name === 'string' && typeof value === 'string' ? { name, value } : undefined
}

/** Why settings cannot be used, as a sentence; undefined when they can. */
export function dnsProblem(settings: DnsSettings): string | undefined {
  const { nameservers, split, searchDomains, records, overrideLocal } = settings
  if (overrideLocal && nameservers.length === 0)
    return "Name servers that take the place of the machines' own have to be named: with none, nothing would be found."
  const domains = Object.entries(split)
  if (domains.length > MOST_DOMAINS) return `Split DNS has at most ${MOST_DOMAINS} domains.`
  if (searchDomains.length > MOST_SEARCH_DOMAINS) return `There are at most ${MOST_SEARCH_DOMAINS} search domains.`
  if (records.length > MOST_RECORDS) return `There are at most ${MOST_RECORDS} records.`
  for (const [domain, servers] of domains) {
    if (canonicalDomain(domain) !== domain) return domainProblem(domain)
    if (servers.length === 0) return `No server is named for ${domain}.`
  }
  for (const servers of [nameservers, ...domains.map(([, servers]) => servers)]) {
    if (servers.length > MOST_SERVERS) return `At most ${MOST_SERVERS} servers answer for the same names.`
    for (const server of servers) {
      const problem = serverProblem(server)
      if (problem !== undefined) return problem
    }
  }
  for (const domain of searchDomains) if (canonicalDomain(domain) !== domain) return domainProblem(domain)
  for (const { name, value } of records) {
    if (canonicalDomain(name) !== name || !name.includes('.'))
      return `"${name}" is no whole name such as printer.home.example.`
    if (canonicalIp(value) !== value) return `"${value}" is no address; a record gives ${name} an IPv4 or IPv6 address.`
  }
  return undefined
}

const domainProblem = (text: string): string => `"${text}" is no domain such as corp.example.`

/** Lower case, without "*.", and without dots before or after; undefined when it is no domain. */
export function canonicalDomain(text: string): string | undefined {
  const domain = text
    .toLowerCase()
    .replace(/^\*?\./, '')
    .replace(/\.$/, '')
  const labels = domain.split('.')
  const isDomain =
    domain.length <= 253 && labels.every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label))
  return isDomain ? domain : undefined
}

function serverProblem(text: string): string | undefined {
  if (text.startsWith('https://'))
    return URL.canParse(text) && new URL(text).hostname !== ''
      ? undefined
      : `"${text}" is no address of a DNS server over HTTPS.`
  const address = canonicalIp(text) ?? splitEndpoint(text)?.address
  if (address === undefined)
    return `"${text}" is no name server: write its address, address:port, or https://… for DNS over HTTPS.`
  if (isBuiltInServer(address))
    return `${address} is where clients answer names themselves; name the server they shall ask.`
  if (isLoopback(address)) return `${address} would be each machine itself; name a server that all of them reach.`
  if (splitEndpoint(text)?.port === 0) return `"${text}" has port 0.`
  return undefined
}

/** As clients are told (control.md §8.1). */
export function dnsConfigOf(settings: DnsSettings, baseDomain: string): DnsConfigInput {
  const resolvers = (servers: readonly string[]): { addr: string }[] => servers.map((addr) => ({ addr }))
  const { magicDns, nameservers, overrideLocal, split, searchDomains, records } = settings
  const global = resolvers(nameservers)
  return {
    ...(overrideLocal ? { resolvers: global } : { fallbackResolvers: global }),
    routes: new Map(Object.entries(split).map(([domain, servers]) => [domain, resolvers(servers)])),
    // Short names of nodes are found through the first.
    domains: [...(magicDns ? [baseDomain] : []), ...searchDomains],
    proxied: magicDns,
    extraRecords: records.map(({ name, value }) => ({ name, type: '', value })),
  }
}
