// `peerway coord oidc …` as people type it, beside a real provider.

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { CLIENT, testProvider } from '../coord/identity/oidc/test-provider.ts'
import { peerway, tempFolder } from './test-coord.ts'

test('a provider is added, shown, changed, left, kept and removed, with or without a server', async (t) => {
  const folder = tempFolder(t)
  const state = ['--state', join(folder, 'coord')]
  const oidc = (...args: readonly string[]) => peerway('oidc', ...args, ...state)
  await peerway('users', 'create', 'ines', ...state)
  const provider = await testProvider(t, [])
  const secret = join(folder, 'secret')
  writeFileSync(secret, `${CLIENT.secret}\n`)

  assert.match((await oidc('list')).stdout, /passkeys and passwords only/)
  const where = ['--issuer', provider.issuer, '--client-id', CLIENT.id]
  const nobody = await oidc('add', 'corp', ...where, '--client-secret-file', join(folder, 'none'))
  assert.deepEqual([nobody.status, /secret cannot be read/.test(nobody.stderr)], [2, true])
  const typo = await oidc('add', 'corp', '--issuer', `${provider.issuer}/x`, '--client-id', CLIENT.id)
  assert.deepEqual([typo.status, /does not answer as a provider/.test(typo.stderr)], [1, true])
  const added = await oidc('add', 'corp', ...where, '--client-secret-file', secret, '--allow-domain', 'corp.example')
  assert.deepEqual([added.status, added.stderr], [0, ''])
  assert.match((await oidc('list')).stdout, /corp +http:\/\/127\S+ +@corp\.example +0 +0/)
  const changed = await oidc('set', 'corp', '--allow-group', 'staff', '--allow-group', 'on call')
  assert.equal(changed.stdout, 'corp lets in: staff on call.\n')
  assert.equal((await oidc('set', 'corp', '--allow-linked')).stdout, 'corp lets in: linked accounts.\n')

  const never = await oidc('leave', 'corp', '--at', 'soon')
  assert.deepEqual([never.status, /--at 2030-06-30/.test(never.stderr)], [2, true])
  const day = new Date(Date.now() + 30 * 86_400_000).toISOString().slice(0, 10)
  const left = await oidc('leave', 'corp', '--at', day, '--json')
  const { leavesAt } = (JSON.parse(left.stdout) as { provider: { leavesAt: string } }).provider
  assert.equal(leavesAt, `${day}T23:59:59Z`)
  assert.match((await oidc('status', 'corp')).stdout, /To take that back: peerway coord oidc stay corp/)
  assert.match((await oidc('remind', 'corp')).stdout, /Nobody depends on it any more/)
  assert.equal((await oidc('stay', 'corp')).stdout, 'corp stays.\n')
  assert.equal((await oidc('remove', 'corp')).status, 0)
  assert.match((await oidc('status', 'corp')).stderr, /There is no provider corp/)
})
