import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { inviteLine, readJoinInput, serverUrlOf } from './join-input.ts'

test('an address is completed: names are https, bare addresses http', () => {
  const cases: readonly [string, string][] = [
    ['home.example.org', 'https://home.example.org'],
    [' HOME.example.org/ ', 'https://home.example.org'],
    ['https://home.example.org:8443', 'https://home.example.org:8443'],
    ['http://home.lan:8480/', 'http://home.lan:8480'],
    ['192.168.1.20:8480', 'http://192.168.1.20:8480'],
    ['[fd00::1]:8480', 'http://[fd00::1]:8480'],
    ['localhost:8480', 'http://localhost:8480'],
  ]
  for (const [typed, url] of cases) assert.equal(serverUrlOf(typed), url, typed)
})

test('what is no address of a server is refused', () => {
  for (const typed of [
    '',
    'home',
    'two words',
    'ftp://home.example.org',
    'https://user:pw@home.example.org',
    'https://home.example.org/path',
    'https://home.example.org/?q',
    '..',
    'https://',
  ])
    assert.equal(serverUrlOf(typed), undefined, typed)
})

test('a pasted invite line gives server and key', () => {
  const line = inviteLine('http://192.168.1.5:8480', 'pwkey-auth-abc-def')
  assert.deepEqual(readJoinInput(`  sudo ${line} `), {
    serverUrl: 'http://192.168.1.5:8480',
    authKey: 'pwkey-auth-abc-def',
  })
  assert.deepEqual(readJoinInput('tool up --authkey=k --login-server=https://a.example'), {
    serverUrl: 'https://a.example',
    authKey: 'k',
  })
  assert.equal(readJoinInput('peerway up --login-server nowhere --auth-key k'), undefined)
})

test('any text is read or refused, never thrown at', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const url = serverUrlOf(text)
      if (url !== undefined) assert.equal(serverUrlOf(url), url)
      readJoinInput(text)
    }),
  )
})
