import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { fileFor, isOwnPage, PAGE_URL } from './app-files.ts'

const FOLDER = '/opt/peerway/renderer'

test('names files below the folder', () => {
  assert.equal(fileFor(PAGE_URL, FOLDER), join(FOLDER, 'index.html'))
  assert.equal(fileFor('app://peerway/assets/inter-1.woff2?v=2', FOLDER), join(FOLDER, 'assets/inter-1.woff2'))
})

test('names nothing outside, of another host, or of a kind that the window has not', () => {
  const refused = [
    'app://peerway/../../etc/passwd.html',
    'app://peerway/%2e%2e/%2e%2e/etc/x.js',
    'app://peerway/..%2f..%2fx.js',
    'app://peerway/..%5c..%5cx.js',
    'app://peerway/x.js%00.html',
    'app://peerway/%zz.js',
    'app://elsewhere/index.html',
    'file:///opt/peerway/renderer/index.html',
    'app://peerway/main.mjs',
    'app://peerway/',
    'nonsense',
  ]
  for (const url of refused) {
    const file = fileFor(url, FOLDER)
    assert.ok(file === undefined || file.startsWith(`${FOLDER}/`), url)
  }
  for (const url of refused.slice(2)) assert.equal(fileFor(url, FOLDER), undefined, url)
})

test('no URL whatever leads out of the folder', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 60 }), (path) => {
      const file = fileFor(`app://peerway/${path}.js`, FOLDER)
      assert.ok(file === undefined || file.startsWith(`${FOLDER}/`))
    }),
  )
})

test('only the page itself may ask', () => {
  for (const url of [PAGE_URL, `${PAGE_URL}#x`, `${PAGE_URL}?x`]) assert.ok(isOwnPage(url), url)
  for (const url of [`${PAGE_URL}.evil`, 'app://peerway/other.html', 'https://peerway/index.html', 'about:blank', ''])
    assert.ok(!isOwnPage(url), url)
})
