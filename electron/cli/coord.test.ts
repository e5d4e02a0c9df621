import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { peerway, start, tempFolder } from './test-coord.ts'

test('a newcomer’s first command gives a key, and makes its owner', async (t) => {
  const state = ['--state', join(tempFolder(t), 'coord')]
  const made = await peerway('auth-keys', 'create', ...state)
  assert.deepEqual([made.status, made.stderr], [0, ''])
  assert.match(made.stdout, /^pwkey-auth-\S+\n$/)
  const users = await peerway('users', 'list', '--json', ...state)
  const [owner] = JSON.parse(users.stdout) as { name: string; role: string }[]
  assert.deepEqual([owner?.name, owner?.role], ['owner', 'owner'])
})

test('serve says ready, takes commands, and ends cleanly when told to', async (t) => {
  const state = join(tempFolder(t), 'coord')
  const serving = start(['serve', '--listen', '127.0.0.1:0', '--stun', '127.0.0.1:0', '--state', state])
  t.after(() => serving.child.kill('SIGKILL'))
  const url = await new Promise<string>((resolve, reject) => {
    serving.child.stdout.on('data', (text: string) => resolve(/^ready (\S+)$/m.exec(text)?.[1] ?? ''))
    serving.child.once('close', () => reject(new Error('serve ended')))
  })
  assert.equal((await fetch(`${url}/health`)).status, 200)
  const setup = await peerway('users', 'setup-code', '--state', state)
  assert.deepEqual([setup.status, setup.stderr], [0, ''])
  assert.match(setup.stdout, /^([0-9A-Z]{4}-){3}[0-9A-Z]{4}\n$/)
  const made = await peerway('users', 'create', 'anna', '--email', 'anna@example.org', '--state', state)
  assert.deepEqual([made.status, made.stdout], [0, 'User anna (owner) is there.\n'])
  const late = await peerway('users', 'setup-code', '--state', state)
  assert.equal(late.status, 1)
  assert.match(late.stderr, /users reset NAME.*\[coord\/conflict\]/)
  const second = await peerway('serve', '--listen', '127.0.0.1:0', '--state', state)
  assert.equal(second.status, 1)
  assert.match(second.stderr, /^[^\n]+ \[coord\/state-in-use\]\n$/)
  serving.child.kill('SIGTERM')
  const ended = await serving.ended
  assert.deepEqual([ended.status, ended.stdout], [0, `ready ${url}\n`])
  const code = setup.stdout.trim()
  const told = [`has no owner yet. Make the first account at ${url}/account#${code}`, `asks for it: ${code}`]
  const lines = ended.stderr.trimEnd().split('\n')
  assert.deepEqual(
    lines.map((line, i) => line.endsWith(told[i] ?? '')),
    [true, true],
    ended.stderr,
  )
})

test('what cannot work is told in one line with its code', async (t) => {
  const folder = tempFolder(t)
  writeFileSync(join(folder, 'coord.db'), 'precious '.repeat(500))
  const cases: [readonly string[], number, RegExp][] = [
    [['nodes', 'list', '--state', folder], 1, /Restore a copy\. \[coord\/state-damaged\]/],
    [['nodes', 'list', '--state', join(folder, 'none')], 1, /peerway coord serve.*\[coord\/not-found\]/],
    [['serve', '--listen', 'nonsense'], 2, /\[cli\/usage\]/],
    [['serve', '--tls', 'one-file'], 2, /\[cli\/usage\]/],
    [['users', 'frobnicate'], 2, /peerway coord help.*\[cli\/usage\]/],
    [['users', 'create'], 2, /\[cli\/usage\]/],
    [['auth-keys', 'create', '--expiry', 'soon'], 2, /\[cli\/usage\]/],
    [['auth-keys', 'create', '--expiry', '9999d', '--state', join(folder, 'new')], 1, /\[coord\/bad-argument\]/],
  ]
  for (const [args, status, text] of cases) {
    const ran = await peerway(...args)
    assert.equal(ran.status, status, args.join(' '))
    assert.match(ran.stderr, text)
    assert.equal(ran.stderr.trimEnd().split('\n').length, 1, ran.stderr)
    assert.equal(ran.stdout, '')
  }
})

test('help is there for the family, for a part of it, and for each verb with an example', async () => {
  assert.match((await peerway('help')).stdout, /coord nodes delete/)
  const users = await peerway('users', '--help')
  assert.match(users.stdout, /coord users create/)
  assert.doesNotMatch(users.stdout, /coord nodes/)
  assert.match((await peerway('auth-keys', 'create', '--help')).stdout, /Example:\n {2}peerway coord auth-keys create/)
})
