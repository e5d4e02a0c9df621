import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isCoded } from '../base/errors.ts'
import { placesFrom } from './places.ts'
import { loginPage } from './window-handlers.ts'

test('only a web page that the server named is opened', () => {
  assert.equal(loginPage('https://home.example.org/login/x'), 'https://home.example.org/login/x')
  assert.equal(loginPage('http://192.168.1.5:8480/login/x'), 'http://192.168.1.5:8480/login/x')
  for (const url of ['file:///etc/passwd', 'javascript:alert(1)', 'ssh://host', 'smb://host/share', 'x'])
    assert.throws(
      () => loginPage(url),
      (error) => isCoded(error, 'shell/bad-login-page'),
      url,
    )
  assert.throws(
    () => loginPage(undefined),
    (error) => isCoded(error, 'shell/no-login'),
  )
})

test('places come from the environment, and a wrong port is told', () => {
  const places = placesFrom({ PEERWAY_STATE_DIR: '/s', PEERWAY_TUN: 'pw1', PEERWAY_PORT: '41641' })
  assert.deepEqual(places, { stateDir: '/s', socketPath: '/s/agent.sock', tunName: 'pw1', udpPort: 41641 })
  assert.equal(placesFrom({ PEERWAY_STATE_DIR: '/s', PEERWAY_SOCKET: '/r/a.sock' }).socketPath, '/r/a.sock')
  for (const port of ['-1', '65536', 'x', '1.5'])
    assert.throws(
      () => placesFrom({ PEERWAY_PORT: port }),
      (error) => isCoded(error, 'shell/bad-environment'),
      port,
    )
})
