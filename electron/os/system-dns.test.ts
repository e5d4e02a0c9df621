import assert from 'node:assert/strict'
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { LinuxSystemDns, resolvConf, serversIn, type SystemDnsConfig } from './system-dns.ts'

const WANT: SystemDnsConfig = {
  tunName: 'pw0',
  servers: ['100.100.100.100'],
  searchDomains: ['home.example'],
  domains: ['home.example'],
  isDefault: true,
}
const FORMER = 'domain lan\nnameserver 192.168.1.1\nnameserver fe80::1%eth0\noptions ndots:2\n'

function machine(t: TestContext, text?: string) {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-resolv-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'resolv.conf')
  if (text !== undefined) writeFileSync(path, text)
  const kept = join(folder, 'state', 'resolv.conf.before')
  const asked: string[] = []
  const open = () =>
    new LinuxSystemDns({
      path,
      keep: kept,
      uplinks: join(folder, 'uplinks.conf'),
      run: (program, args) => {
        asked.push([program, ...args].join(' '))
        return Promise.resolve({ status: 0, stdout: '', stderr: '' })
      },
    })
  return { folder, path, open, asked, read: () => readFileSync(path, 'utf8'), kept }
}

test('the file names our resolver, keeps options, and comes back as it was', async (t) => {
  const { open, read, kept } = machine(t, FORMER)
  const dns = open()
  await dns.set(WANT)
  const lines = read().split('\n').slice(1)
  assert.deepEqual(lines, ['nameserver 100.100.100.100', 'search home.example lan', 'options ndots:2', ''])
  assert.deepEqual(dns.formerServers, ['192.168.1.1', 'fe80::1%eth0'])
  await dns.set(WANT)
  assert.equal(readFileSync(kept, 'utf8'), FORMER)
  await dns.close()
  assert.equal(read(), FORMER)
  assert.ok(!existsSync(kept))
})

test('a run that was killed is undone by the next, which knows the servers from before', async (t) => {
  const { open, read } = machine(t, FORMER)
  await open().set(WANT)
  const next = open()
  await next.set(WANT)
  assert.deepEqual(next.formerServers, ['192.168.1.1', 'fe80::1%eth0'])
  await open().close()
  assert.equal(read(), FORMER)
})

test('a file that somebody wrote meanwhile is theirs', async (t) => {
  const { open, read, path } = machine(t, FORMER)
  const dns = open()
  await dns.set(WANT)
  assert.equal(await dns.isLost(), false)
  writeFileSync(path, 'nameserver 10.9.9.9\n')
  assert.equal(await dns.isLost(), true)
  await dns.set(WANT)
  assert.deepEqual(dns.formerServers, ['10.9.9.9'])
  writeFileSync(path, 'nameserver 10.8.8.8\n')
  await dns.close()
  assert.equal(read(), 'nameserver 10.8.8.8\n')
})

test('a link stays a link', async (t) => {
  const { folder, open, read, path } = machine(t)
  writeFileSync(join(folder, 'manager.conf'), FORMER)
  symlinkSync('manager.conf', path)
  const dns = open()
  await dns.set(WANT)
  assert.deepEqual(dns.formerServers, ['192.168.1.1', 'fe80::1%eth0'])
  assert.ok(!lstatSync(path).isSymbolicLink() && read().includes('100.100.100.100'))
  assert.equal(readFileSync(join(folder, 'manager.conf'), 'utf8'), FORMER, 'nobody else’s file is written')
  await dns.close()
  assert.equal(readlinkSync(path), 'manager.conf')
})

test('the servers of the system are known whether or not its file is ours', async (t) => {
  const { open, path } = machine(t, FORMER)
  const dns = open()
  assert.deepEqual(await dns.servers(), ['192.168.1.1', 'fe80::1%eth0'])
  await dns.set(WANT)
  assert.deepEqual(await dns.servers(), ['192.168.1.1', 'fe80::1%eth0'])
  writeFileSync(path, 'nameserver 10.9.9.9\nnameserver 100.100.100.100\n')
  assert.deepEqual(await dns.servers(), ['10.9.9.9'])
})

test('systemd-resolved asked for all names is passed by, as it would ask us again', async (t) => {
  const { folder, open, path } = machine(t)
  symlinkSync('../run/systemd/resolve/stub-resolv.conf', path)
  const dns = open()
  await dns.set({ ...WANT, isDefault: true })
  assert.deepEqual(dns.formerServers, [])
  await dns.set({ ...WANT, isDefault: false })
  assert.deepEqual(dns.formerServers, ['127.0.0.53'])
  writeFileSync(join(folder, 'uplinks.conf'), 'nameserver 100.100.100.100\nnameserver 192.168.1.1\n')
  await dns.set({ ...WANT, isDefault: true })
  assert.deepEqual(dns.formerServers, ['192.168.1.1'])
  writeFileSync(join(folder, 'uplinks.conf'), 'nameserver 10.0.0.1\n')
  assert.deepEqual(await dns.servers(), ['10.0.0.1'])
  assert.deepEqual(dns.formerServers, ['10.0.0.1'], 'another network has others')
})

test('systemd-resolved is told about the tunnel, and told back', async (t) => {
  const { open, path, asked } = machine(t)
  symlinkSync('../run/systemd/resolve/stub-resolv.conf', path)
  const dns = open()
  await dns.set({ ...WANT, domains: ['home.example', 'corp.example'], isDefault: false })
  await dns.close()
  assert.deepEqual(asked, [
    'resolvectl dns pw0 100.100.100.100',
    'resolvectl domain pw0 home.example ~home.example ~corp.example',
    'resolvectl default-route pw0 no',
    'resolvectl revert pw0',
  ])
  assert.ok(lstatSync(path).isSymbolicLink())
})

test('no file at all is as good as an empty one', async (t) => {
  const { open, read } = machine(t)
  const dns = open()
  await dns.set(WANT)
  assert.deepEqual(dns.formerServers, [])
  await dns.close()
  assert.equal(read(), '')
})

test('nothing that a server says can write lines of its own', () => {
  const text = resolvConf({ ...WANT, searchDomains: ['ok.example', 'x\nnameserver 6.6.6.6', '; rm', ''] }, FORMER)
  assert.deepEqual(serversIn(text), ['100.100.100.100'])
  assert.match(text, /^search ok\.example lan$/m)
  const long = Array.from({ length: 40 }, (_, i) => `${'d'.repeat(60)}${i}.example`)
  assert.ok((/^search .*$/m.exec(resolvConf({ ...WANT, searchDomains: long }, ''))?.[0].length ?? 0) <= 1_031)
})
