import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { VirtualClock } from '../base/clock.ts'
import { NodePrivate } from '../crypto/keys.ts'
import { announcingCertificate } from './certificate.ts'
import { loadTlsIdentity, makeTlsIdentity } from './tls-identity.ts'

const YEAR_MS = 365 * 24 * 60 * 60 * 1000

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'derp-identity-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

test('makes a certificate for names and addresses that verifies itself', () => {
  const identity = makeTlsIdentity(['derp.example.org', '192.0.2.1', '2001:db8::1'])
  const certificate = new X509Certificate(identity.cert)
  assert.ok(certificate.verify(certificate.publicKey))
  assert.equal(certificate.checkHost('derp.example.org', { subject: 'never' }), 'derp.example.org')
  assert.equal(certificate.checkHost('other.example.org', { subject: 'never' }), undefined)
  assert.ok(certificate.checkIP('192.0.2.1') && certificate.checkIP('2001:db8::1'))
  assert.ok(!certificate.ca)
  assert.equal(identity.sha256Raw, `sha256-raw:${certificate.fingerprint256.replaceAll(':', '').toLowerCase()}`)
})

test('keeps its identity, readable by its owner alone', async (t) => {
  const folder = await folderFor(t)
  const options = { folder, hosts: ['127.0.0.1'] }
  const first = await loadTlsIdentity(options)
  assert.deepEqual(await loadTlsIdentity(options), first)
  assert.equal((await stat(join(folder, 'derp-tls.pem'))).mode & 0o777, 0o600)
})

test('makes a new one for a new name, and in the last year of the old one', async (t) => {
  const folder = await folderFor(t)
  const clock = new VirtualClock()
  const first = await loadTlsIdentity({ folder, hosts: ['127.0.0.1'], clock })
  const second = await loadTlsIdentity({ folder, hosts: ['127.0.0.1', 'derp.example.org'], clock })
  assert.notEqual(second.sha256Raw, first.sha256Raw)
  assert.equal((await loadTlsIdentity({ folder, hosts: ['derp.example.org'], clock })).sha256Raw, second.sha256Raw)
  clock.advance(8.9 * YEAR_MS)
  assert.equal((await loadTlsIdentity({ folder, hosts: ['derp.example.org'], clock })).sha256Raw, second.sha256Raw)
  clock.advance(0.2 * YEAR_MS)
  assert.notEqual((await loadTlsIdentity({ folder, hosts: ['derp.example.org'], clock })).sha256Raw, second.sha256Raw)
})

test('sets a damaged file aside and makes a new identity', async (t) => {
  const folder = await folderFor(t)
  const options = { folder, hosts: ['127.0.0.1'] }
  const [a, b] = [makeTlsIdentity(['127.0.0.1']), makeTlsIdentity(['127.0.0.1'])]
  for (const damaged of ['', 'junk', a.key, a.key + b.cert, (a.key + a.cert).replaceAll('M', 'N')]) {
    await writeFile(join(folder, 'derp-tls.pem'), damaged)
    const made = await loadTlsIdentity(options)
    assert.deepEqual(await loadTlsIdentity(options), made)
  }
  assert.ok((await readdir(folder)).filter((name) => name.includes('.damaged-')).length >= 1)
})

test('announces the server key as clients of this field read it', () => {
  const key = NodePrivate.generate().public
  const certificate = new X509Certificate(announcingCertificate(key))
  assert.equal(certificate.subject, `CN=derpkey${key.text.slice('nodekey:'.length)}`)
  assert.equal(Number.parseInt(certificate.serialNumber, 16), 2)
  assert.equal(certificate.publicKey.asymmetricKeyType, 'ed25519')
  assert.ok(certificate.verify(certificate.publicKey))
})
