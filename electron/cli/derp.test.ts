import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { measureHttpsLatency } from '../derp/https-latency.ts'
import { runDerp } from './derp.ts'

const VERB = new URL('derp.ts', import.meta.url).href

function start(t: TestContext, ...flags: readonly string[]) {
  const dir = mkdtempSync(join(tmpdir(), 'derp-verb-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const run = `import { runDerp } from '${VERB}'
    process.exitCode = await runDerp(process.argv.slice(1)).catch((error) => { console.error(error.code); return 1 })`
  const child = spawn(
    process.execPath,
    [
      '--import',
      'tsx',
      '--input-type=module',
      '-e',
      run,
      '--',
      '--open',
      '--cert-dir',
      dir,
      '--stun',
      '127.0.0.1:0',
      ...flags,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  t.after(() => child.kill('SIGKILL'))
  return child
}

test(
  'peerway derp says when it is ready and with which pin, and ends cleanly when told to',
  { timeout: 30_000 },
  async (t) => {
    const child = start(t, '--listen', '127.0.0.1:0', '--hostname', 'derp.test')
    const [chunk] = (await once(child.stdout, 'data')) as [Buffer]
    const [, port, pin] = /^ready derp\.test:(\d+) (sha256-raw:[0-9a-f]{64})\n/.exec(chunk.toString()) ?? []
    const node = { Name: 'a', RegionID: 900, HostName: 'derp.test', IPv4: '127.0.0.1', DERPPort: Number(port) }
    assert.ok((await measureHttpsLatency({ RegionID: 900, Nodes: [{ ...node, CertName: pin }] })) > 0)
    child.kill('SIGTERM')
    assert.deepEqual(await once(child, 'exit'), [0, null])
  },
)

test('peerway derp names the port that is taken', { timeout: 30_000 }, async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.after(() => other.close())
  const child = start(t, '--listen', `127.0.0.1:${(other.address() as AddressInfo).port}`)
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
  assert.deepEqual(await once(child, 'close'), [1, null])
  assert.match(said, /derp\/port-in-use/)
})

test('peerway derp refuses wrong options before it does anything', async () => {
  for (const flags of [
    ['--open', '--listen', 'nowhere'],
    ['--open', '--listen', ':99999'],
    ['--verify-url', 'ftp://example.org'],
    ['--open', '--client-rate', '0'],
    ['--open', '--verify-url', 'http://example.org/verify'],
    [],
    ['--frobnicate'],
  ])
    await assert.rejects(runDerp(flags), { code: 'cli/usage' })
})
