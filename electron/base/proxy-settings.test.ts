import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { test } from 'node:test'
import fc from 'fast-check'
import { isCoded } from './errors.ts'
import { type Environment, proxyFor } from './proxy-settings.ts'

const P = 'http://proxy.example:3128'
const https = (env: Environment, host = 'derp.example.org', port = 443) =>
  proxyFor({ scheme: 'https', host, port }, env)?.variable

test('each scheme has its own variable, in upper or lower case, and ALL_PROXY stands in for both', () => {
  const http = (env: Environment) => proxyFor({ scheme: 'http', host: 'a.example', port: 80 }, env)?.variable
  assert.equal(https({}), undefined)
  assert.equal(https({ HTTPS_PROXY: P }), 'HTTPS_PROXY')
  assert.equal(https({ https_proxy: P }), 'https_proxy')
  assert.equal(https({ HTTP_PROXY: P }), undefined)
  assert.equal(https({ ALL_PROXY: P }), 'ALL_PROXY')
  assert.equal(https({ ALL_PROXY: P, https_proxy: P }), 'https_proxy')
  assert.equal(https({ HTTPS_PROXY: '', all_proxy: P }), 'all_proxy', 'an empty variable is none')
  assert.equal(http({ http_proxy: P }), 'http_proxy')
  assert.equal(http({ HTTPS_PROXY: P }), undefined)
})

test('the forms in which people write a proxy', () => {
  const read = (value: string) => {
    const proxy = proxyFor({ scheme: 'https', host: 'x.example', port: 443 }, { HTTPS_PROXY: value })
    return proxy && [proxy.kind, proxy.host, proxy.port, proxy.login?.user, proxy.login?.password]
  }
  assert.deepEqual(read('http://proxy.example:3128'), ['http', 'proxy.example', 3128, undefined, undefined])
  assert.deepEqual(read('proxy.example:8080'), ['http', 'proxy.example', 8080, undefined, undefined])
  assert.deepEqual(read('proxy.example'), ['http', 'proxy.example', 80, undefined, undefined])
  assert.deepEqual(read('https://proxy.example'), ['https', 'proxy.example', 443, undefined, undefined])
  assert.deepEqual(read('socks5h://[2001:db8::1]'), ['socks5', '2001:db8::1', 1080, undefined, undefined])
  assert.deepEqual(read('http://anna:p%40ss@10.0.0.1:1/'), ['http', '10.0.0.1', 1, 'anna', 'p@ss'])
  assert.deepEqual(read('http://anna:100%@10.0.0.1:1')?.slice(3), ['anna', '100%'])
})

test('a variable without a proxy in it is refused, and the message does not repeat a password', () => {
  for (const value of ['ftp://proxy:21', 'http://', 'http://anna:secret@:80', 'quic://anna:secret@proxy'])
    assert.throws(
      () => https({ HTTPS_PROXY: value }),
      (error: unknown) => isCoded(error, 'proxy/bad-setting') && !error.message.includes('secret'),
    )
})

test('the password of a proxy is not printed with it', () => {
  const proxy = proxyFor({ scheme: 'https', host: 'x.example', port: 443 }, { HTTPS_PROXY: 'http://anna:secret@p:1' })
  assert.equal(proxy?.login?.password, 'secret')
  assert.ok(!`${inspect(proxy, { depth: 9, showHidden: true })}${JSON.stringify(proxy)}`.includes('secret'))
})

test('exceptions: names, names below, addresses, prefixes, ports, everything', () => {
  const goesStraight = (NO_PROXY: string, host: string, port = 443) =>
    https({ HTTPS_PROXY: P, NO_PROXY }, host, port) === undefined
  assert.ok(goesStraight('*', 'a.example'))
  assert.ok(goesStraight('b.example, example.org', 'example.org'))
  assert.ok(goesStraight('EXAMPLE.org', 'Derp.Example.ORG.'))
  assert.ok(!goesStraight('example.org', 'notexample.org'))
  assert.ok(goesStraight('.example.org', 'derp.example.org'))
  assert.ok(!goesStraight('.example.org', 'example.org'))
  assert.ok(goesStraight('*.example.org', 'derp.example.org'))
  assert.ok(goesStraight('example.org:8443', 'example.org', 8443))
  assert.ok(!goesStraight('example.org:8443', 'example.org', 443))
  assert.ok(goesStraight('10.0.0.0/8', '10.9.8.7'))
  assert.ok(!goesStraight('10.0.0.0/8', '11.9.8.7'))
  assert.ok(goesStraight('10.1.1.1', '10.1.1.1'))
  assert.ok(goesStraight('2001:db8::/32', '2001:db8::1'))
  assert.ok(goesStraight('[2001:db8:0::1]:443', '2001:db8::1'))
  assert.ok(goesStraight('2001:db8:0::1', '2001:db8::1'))
  assert.ok(!goesStraight('', 'a.example'))
  assert.equal(https({ HTTPS_PROXY: P, no_proxy: 'a.example' }, 'a.example'), undefined)
})

test('this machine itself is never behind a proxy', () => {
  for (const host of ['localhost', 'LOCALHOST', '127.0.0.1', '127.9.9.9', '::1'])
    assert.equal(https({ HTTPS_PROXY: P }, host), undefined)
})

test('whatever the variables hold, there is a proxy, none, or a coded refusal', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.string(), (HTTPS_PROXY, NO_PROXY, host) => {
      try {
        const proxy = proxyFor({ scheme: 'https', host, port: 443 }, { HTTPS_PROXY, NO_PROXY })
        if (proxy) assert.ok(proxy.host !== '' && proxy.port > 0 && proxy.port < 65_536)
      } catch (error) {
        if (!isCoded(error, 'proxy/bad-setting')) throw error
      }
    }),
  )
})
