import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { canonicalDomain, DEFAULT_DNS, dnsConfigOf, dnsProblem, type DnsSettings, dnsSettings } from './dns-settings.ts'

const settings = (more: Partial<DnsSettings>): DnsSettings => ({ ...DEFAULT_DNS, ...more })

test('settings come back from their text', () => {
  const wanted = settings({
    magicDns: false,
    nameservers: ['192.0.2.1', '[2001:db8::1]:5353', 'https://dns.example/dns-query'],
    overrideLocal: true,
    split: { 'corp.example': ['10.0.0.53'] },
    searchDomains: ['corp.example'],
    records: [{ name: 'printer.home.example', value: '192.168.1.20' }],
  })
  assert.equal(dnsProblem(wanted), undefined)
  assert.deepEqual(dnsSettings.parse(JSON.stringify(wanted)), wanted)
})

test('no text whatever makes settings that cannot be used', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json(),
        fc.jsonValue().map((value) => JSON.stringify({ split: value })),
      ),
      (text) => {
        assert.equal(dnsProblem(dnsSettings.parse(text)), undefined)
      },
    ),
  )
})

test('what cannot work is named', () => {
  const problems: readonly [Partial<DnsSettings>, RegExp][] = [
    [{ overrideLocal: true }, /have to be named/],
    [{ nameservers: ['dns.example'] }, /"dns.example" is no name server/],
    [{ nameservers: ['192.0.2.1:0'] }, /port 0/],
    [{ nameservers: ['127.0.0.53'] }, /each machine itself/],
    [{ nameservers: ['100.100.100.100'] }, /answer names themselves/],
    [{ nameservers: ['https://'] }, /over HTTPS/],
    [{ split: { 'bad domain': ['192.0.2.1'] } }, /"bad domain" is no domain/],
    [{ split: { 'corp.example': [] } }, /No server is named for corp.example/],
    [{ searchDomains: ['-x.example'] }, /no domain/],
    [{ records: [{ name: 'printer', value: '192.0.2.1' }] }, /no whole name/],
    [{ records: [{ name: 'printer.home.example', value: 'other.example' }] }, /no address/],
    [{ nameservers: Array.from({ length: 17 }, (_, i) => `192.0.2.${i + 1}`) }, /At most 16/],
  ]
  for (const [more, problem] of problems) assert.match(dnsProblem(settings(more)) ?? '', problem)
})

test('domains are written in one way', () => {
  assert.equal(canonicalDomain('Corp.Example.'), 'corp.example')
  assert.equal(canonicalDomain('*.corp.example'), 'corp.example')
  assert.equal(canonicalDomain('_tcp.corp.example'), '_tcp.corp.example')
  for (const text of ['', '.', 'a..b', 'a b', `${'x'.repeat(64)}.example`])
    assert.equal(canonicalDomain(text), undefined)
})

test('machines use the servers named instead of their own only when told so', () => {
  const nameservers = ['192.0.2.1']
  const mild = dnsConfigOf(settings({ nameservers }), 'home.example')
  assert.deepEqual([mild.resolvers, mild.fallbackResolvers], [undefined, [{ addr: '192.0.2.1' }]])
  const strict = dnsConfigOf(settings({ nameservers, overrideLocal: true }), 'home.example')
  assert.deepEqual([strict.resolvers, strict.fallbackResolvers], [[{ addr: '192.0.2.1' }], undefined])
})

test('short names are looked for below the base domain first', () => {
  const { domains } = dnsConfigOf(settings({ searchDomains: ['corp.example'] }), 'home.example')
  assert.deepEqual(domains, ['home.example', 'corp.example'])
})
