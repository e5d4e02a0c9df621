import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connected, paths, peer, somePeers } from '../../test/e2e/fixtures/samples.ts'
import { deviceKind, groupsOf, presenceOf, subtitleOf } from './machines.ts'

const names = (search = '', peers = somePeers): string[][] =>
  groupsOf(peers, search).map((group) => group.peers.map(({ name }) => name))

test('my machines come first, then those of others, then tagged ones, each by name', () => {
  assert.deepEqual(
    groupsOf(somePeers, '').map(({ name, peers }) => [name, peers.length]),
    [
      ['My machines', 6],
      ['Shared with me', 2],
      ['Tagged', 2],
    ],
  )
  assert.deepEqual(names()[0], ['cabin-pi', 'ines-laptop', 'media-box', 'nas', 'old-thinkpad', 'pixel-8'])
})

test('numbers in names count as numbers', () => {
  const some = Object.fromEntries(['box-10', 'box-9'].map((name) => [name, peer(name)])) as typeof somePeers
  assert.deepEqual(names('', some), [['box-9', 'box-10']])
})

test('a row stays where it is when its path changes', () => {
  const changed = Object.fromEntries(
    Object.entries(somePeers).map(([id, one]) => [id, { ...one, path: paths.looking, online: false }]),
  ) as typeof somePeers
  assert.deepEqual(names('', changed), names())
})

test('search finds by name, owner, address and tag', () => {
  assert.deepEqual(names('CABIN'), [['cabin-pi']])
  assert.deepEqual(names('jonas'), [['build-01']])
  assert.deepEqual(names('tag:ci'), [['ci-runner-2']])
  assert.deepEqual(names(connected.peers[Object.keys(somePeers)[0] as keyof typeof somePeers]?.addresses[1]), [['nas']])
  assert.deepEqual(names('cabim'), [])
})

test('a row says whose it is, or what it is', () => {
  assert.equal(subtitleOf(peer('a', { os: 'macos' })), 'macOS')
  assert.equal(subtitleOf(peer('a', { mine: false, ownerName: 'jonas' })), 'from jonas')
  assert.equal(subtitleOf(peer('a', { mine: false, tags: ['tag:ci'] })), 'tag:ci')
})

test('the icon follows system and name', () => {
  const kinds = ['nas', 'cabin-pi', 'ines-laptop', 'label-printer', 'ines-desktop', 'pizza', 'ci-runner-2'].map(
    (name) => deviceKind({ name, os: 'linux', tags: [] }),
  )
  assert.deepEqual(kinds, ['nas', 'board', 'laptop', 'printer', 'desktop', 'desktop', 'terminal'])
  assert.equal(deviceKind({ name: 'x', os: 'android', tags: [] }), 'phone')
})

test('presence counts machines online and direct', () => {
  assert.deepEqual(presenceOf(somePeers), { all: 10, online: 8, direct: 4 })
})
