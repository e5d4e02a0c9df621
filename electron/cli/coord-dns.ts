// The verbs `peerway coord dns …`: what the machines of the tailnet are told of DNS.

import type { DnsInfo } from '../coord/dns/dns-admin.ts'
import { adminOptionHelp, adminOptions, answer, ask } from './coord-admin.ts'
import { type Command, type CommandCall, stringOption, switchOption, UsageError } from './command.ts'

const base = { help: adminOptionHelp, options: adminOptions }

const dnsShow: Command = {
  ...base,
  name: 'coord dns show',
  summary: 'Shows what machines are told of DNS.',
  usage: ['coord dns show [--json]'],
  example: 'peerway coord dns show',
  positionals: [0, 0],
  async run(call) {
    return answer(call, await ask(call, 'dns.get', {}), dnsText)
  },
}

const dnsSet: Command = {
  name: 'coord dns set',
  summary: 'Changes name servers, search domains, and whether nodes have names.',
  usage: ['coord dns set [--magic-dns on|off] [--nameservers ADDR,…] [--override-local on|off] [--search DOMAIN,…]'],
  help: {
    'magic-dns': '--magic-dns on|off     nodes have names below the base domain (on)',
    nameservers: "--nameservers ADDR,…   for all other names; an address, address:port or https://…; '' for none",
    'override-local': "--override-local on|off   those instead of the machines' own (off: only where they need some)",
    search: "--search DOMAIN,…      appended to short names, after the base domain; '' for none",
    ...adminOptionHelp,
  },
  example: 'peerway coord dns set --nameservers 192.168.1.1 --override-local on',
  options: {
    ...adminOptions,
    'magic-dns': { type: 'string' },
    nameservers: { type: 'string' },
    'override-local': { type: 'string' },
    search: { type: 'string' },
  },
  positionals: [0, 0],
  async run(call) {
    const wish = {
      magicDns: switchOption(call, 'magic-dns'),
      nameservers: listOption(call, 'nameservers'),
      overrideLocal: switchOption(call, 'override-local'),
      searchDomains: listOption(call, 'search'),
    }
    if (Object.values(wish).every((value) => value === undefined))
      throw new UsageError('Say what to set; "peerway coord dns set --help" lists it.')
    return answer(call, await ask(call, 'dns.set', wish), dnsText)
  },
}

const dnsSplit: Command = {
  ...base,
  name: 'coord dns split',
  summary: 'Names the servers that answer for a domain; none takes them away.',
  usage: ['coord dns split DOMAIN [ADDR,…]'],
  example: 'peerway coord dns split corp.example 10.0.0.53',
  positionals: [1, 17],
  async run(call) {
    const [domain, ...servers] = call.positionals
    return answer(call, await ask(call, 'dns.split', { domain, servers: servers.flatMap(items) }), dnsText)
  },
}

const recordsAdd: Command = {
  ...base,
  name: 'coord dns records add',
  summary: 'Gives a name an address.',
  usage: ['coord dns records add NAME ADDRESS'],
  example: 'peerway coord dns records add printer.home.example 192.168.1.20',
  positionals: [2, 2],
  async run(call) {
    const [name, value] = call.positionals
    return answer(call, await ask(call, 'dns.records.add', { name, value }), dnsText)
  },
}

const recordsRemove: Command = {
  ...base,
  name: 'coord dns records remove',
  summary: 'Takes an address from a name, or all of them.',
  usage: ['coord dns records remove NAME [ADDRESS]'],
  example: 'peerway coord dns records remove printer.home.example',
  positionals: [1, 2],
  async run(call) {
    const [name, value] = call.positionals
    return answer(call, await ask(call, 'dns.records.remove', { name, value }), dnsText)
  },
}

function dnsText(info: DnsInfo): string {
  const split = Object.entries(info.split).map(([domain, servers]) => `  ${domain}: ${servers.join(', ')}`)
  const records = info.records.map(({ name, value }) => `  ${name} ${value}`)
  return [
    `Base domain: ${info.baseDomain}`,
    `Names of nodes (MagicDNS): ${info.magicDns ? 'on' : 'off'}`,
    `Name servers: ${info.nameservers.join(', ') || '-'}${info.overrideLocal ? ", instead of the machines' own" : ''}`,
    `Search domains: ${info.searchDomains.join(', ') || '-'}`,
    ...(split.length > 0 ? ['Domains with servers of their own:', ...split] : []),
    ...(records.length > 0 ? ['Records:', ...records] : []),
  ].join('\n')
}

const items = (text: string): string[] =>
  text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '')

const listOption = (call: CommandCall, name: string): string[] | undefined => {
  const text = stringOption(call, name)
  return text === undefined ? undefined : items(text)
}

export const dnsCommands: readonly Command[] = [dnsShow, dnsSet, dnsSplit, recordsAdd, recordsRemove]
