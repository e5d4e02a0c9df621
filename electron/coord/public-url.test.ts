import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isCoded } from '../base/errors.ts'
import { checkedUrl, ownUrl, publicHost } from './public-url.ts'

test('a URL is kept to scheme, host and port', () => {
  assert.equal(checkedUrl('https://Net.Example.org/'), 'https://net.example.org')
  assert.equal(checkedUrl('http://192.168.1.10:8480'), 'http://192.168.1.10:8480')
  for (const bad of ['', 'net.example.org', 'ftp://x', 'http://u:p@x', 'http://x/path', 'http://x/?q', 'http://x/#f'])
    assert.throws(
      () => checkedUrl(bad),
      (error) => isCoded(error, 'coord/bad-config'),
      bad,
    )
})

test('a server without a URL is where it listens, and on all addresses at one that can be dialled', () => {
  assert.equal(ownUrl('10.77.0.1', 8480), 'http://10.77.0.1:8480')
  assert.equal(ownUrl('::1', 8480), 'http://[::1]:8480')
  assert.doesNotMatch(ownUrl('::', 8480), /\[::\]|0\.0\.0\.0/)
})

test('the host of DERP is that of the URL, without brackets', () => {
  assert.equal(publicHost('0.0.0.0', 'https://net.example.org:8443'), 'net.example.org')
  assert.equal(publicHost('0.0.0.0', 'http://[2001:db8::1]:8480'), '2001:db8::1')
  assert.equal(publicHost('127.0.0.1', undefined), '127.0.0.1')
})
