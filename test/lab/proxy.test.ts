// A company network whose router forwards nothing: a proxy is the only way out. Debian's tinyproxy stands on the router.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeTlsIdentity } from '../../electron/derp/tls-identity.ts'
import { createLab, type Lab } from './lab.ts'
import { pingUntil, systemPingUntil, addressOf } from './mesh-node.ts'
import { labUnavailable, runOrSkip } from './netns.ts'
import { peerwayUnavailable, startAgent, startCoord } from './peerway.ts'
import { until, type LabProcess } from './process.ts'
import { startTransfer, transfer } from './transfer.ts'

const PORT = 8_888

function proxyUnavailable(): string | undefined {
  return spawnSync('tinyproxy', ['-v'], { stdio: 'ignore' }).error ? 'tinyproxy is not installed' : undefined
}

const options = runOrSkip(labUnavailable() ?? peerwayUnavailable() ?? proxyUnavailable(), 240_000)

const lanAddress = (site: number): string => `192.168.${site + 11}.1`

/** `more` are lines of its configuration. */
async function startProxy(lab: Lab, site: number, more: readonly string[] = []): Promise<LabProcess> {
  const config = join(lab.dir, `tinyproxy-${site}.conf`)
  const lines = [`Port ${PORT}`, `Listen ${lanAddress(site)}`, 'Timeout 600', 'MaxClients 50', 'LogLevel Info', ...more]
  writeFileSync(config, `${lines.join('\n')}\n`)
  const started = lab.site(site).router.ns.start(['tinyproxy', '-d', '-c', config], { name: `tinyproxy-${site}` })
  await started.waitForOutput(/Accepting connections/)
  return started
}

const TLS_PORT = 8_443

/** TLS in front of the plain proxy, and what makes a program trust its certificate. */
async function startTlsFront(lab: Lab, site: number): Promise<Record<string, string>> {
  const { key, cert } = makeTlsIdentity([lanAddress(site)])
  const [keyFile, certFile] = [join(lab.dir, 'proxy.key'), join(lab.dir, 'proxy.crt')]
  writeFileSync(keyFile, key)
  writeFileSync(certFile, cert)
  const serve = `const [tls, net, fs] = [require('tls'), require('net'), require('fs')]
    const options = { key: fs.readFileSync('${keyFile}'), cert: fs.readFileSync('${certFile}') }
    tls.createServer(options, (outer) => {
      const inner = net.connect(${PORT}, '${lanAddress(site)}')
      const end = () => { outer.destroy(); inner.destroy() }
      for (const each of [outer, inner]) each.on('error', end).on('close', end)
      outer.pipe(inner).pipe(outer)
    }).listen(${TLS_PORT}, '${lanAddress(site)}', () => console.log('listening'))`
  const front = lab.site(site).router.ns.start([process.execPath, '-e', serve], { name: 'tls-front' })
  await front.waitForOutput(/listening/)
  return { ALL_PROXY: `https://${lanAddress(site)}:${TLS_PORT}`, NODE_EXTRA_CA_CERTS: certFile }
}

const environment = (site: number, login = ''): Record<string, string> => {
  const proxy = `http://${login}${lanAddress(site)}:${PORT}`
  return { HTTPS_PROXY: proxy, http_proxy: proxy, no_proxy: 'intranet.example, 192.168.0.0/16' }
}

test('where only a proxy leads out, two agents talk over DERP through it', options, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'easy' }, { nat: 'easy' }] })
  t.after(() => lab.close())
  for (const { router } of lab.sites) await router.addRule('drop')
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const authKey = await coord.createAuthKey('anna', { reusable: true })

  const joined = async (site: number, env: Record<string, string>, hostname: string, seconds = 30) => {
    const agent = await startAgent(lab, lab.client(site), { hostname, env, port: 0 })
    const flags = [
      '--login-server',
      coord.url,
      '--auth-key',
      authKey,
      '--hostname',
      hostname,
      '--timeout',
      `${seconds}s`,
    ]
    return { agent, result: await agent.cli('up', ...flags) }
  }
  const fails = async (env: Record<string, string>, code: string, says: RegExp, site = 0): Promise<void> => {
    const { agent, result } = await joined(site, env, `tries-${code.replace('/', '-')}`, 15)
    assert.equal(result.status, 1, result.stdout)
    assert.match(result.stderr, says)
    assert.ok(result.stderr.includes(`[${code}]`), result.stderr)
    assert.ok(!`${result.stderr}${agent.log()}`.includes('s3cret'), 'a password was printed')
    await agent.stop()
  }

  await t.test('without the proxy nothing is reached', () => fails({}, 'control/unreachable', /No server answers/))
  await t.test('a proxy that is not there is named', () =>
    fails(environment(0), 'proxy/unreachable', /No proxy answers at 192\.168\.11\.1:8888, which http_proxy names/),
  )
  await t.test('a proxy that wants a password says where to put it', async () => {
    const proxy = await startProxy(lab, 0, ['BasicAuth anna s3cret'])
    await fails(environment(0), 'proxy/needs-login', /Put them into http_proxy/)
    await fails(environment(0, 'anna:s3cret-not@'), 'proxy/needs-login', /does not take those in http_proxy/)
    await proxy.stop()
  })
  await t.test('a proxy that lets nobody through to that port says whom to ask', async () => {
    const proxy = await startProxy(lab, 0, ['ConnectPort 443'])
    await fails(environment(0), 'proxy/forbidden', /allow CONNECT to 10\.77\.0\.10:8480/)
    await proxy.stop()
  })

  let proxy = await startProxy(lab, 0, ['BasicAuth anna s3cret'])
  await startProxy(lab, 1)
  const overTls = await startTlsFront(lab, 1)
  await t.test('a proxy whose certificate nobody vouches for is not used', () => {
    return fails({ ALL_PROXY: overTls['ALL_PROXY'] ?? '' }, 'proxy/wrong-certificate', /cannot prove/, 1)
  })
  const [first, second] = await Promise.all([
    joined(0, environment(0, 'anna:s3cret@'), 'behind-login'),
    joined(1, overTls, 'behind-tls'),
  ])
  for (const { result } of [first, second]) assert.equal(result.status, 0, result.stderr)
  const [a, b] = [first.agent, second.agent]
  const addressB = await addressOf(b)

  await t.test('they are joined and talk', async () => {
    await pingUntil(a, b, 'derp', 20_000)
    await pingUntil(b, a, 'derp', 20_000)
    await systemPingUntil(a, addressB, 10_000)
    await transfer(a, b, { bytes: 4_000_000, timeoutMs: 60_000 })
    assert.match(proxy.output, /CONNECT 10\.77\.0\.10:8480/)
    assert.ok(!a.log().includes('s3cret'))
  })

  await t.test('netcheck measures the region through the proxy', async () => {
    const result = await a.cli('netcheck', '--json')
    const report = JSON.parse(result.stdout) as { UDP: boolean; RegionLatency: Record<string, number> }
    assert.equal(report.UDP, false)
    assert.ok(Object.keys(report.RegionLatency ?? {}).length > 0, result.stdout)
  })

  await t.test('a stream goes on when the proxy starts anew', async () => {
    const stream = await startTransfer(a, b, { bytesPerSecond: 300_000, timeoutMs: 120_000 })
    await stream.progress(300_000, 20_000)
    await proxy.stop()
    await until(async () => (await a.health()).some((text) => text.includes(`192.168.11.1:${PORT}`)), {
      timeoutMs: 60_000,
      what: 'the agent to name the proxy that is gone',
      explain: () => a.log().slice(-3_000),
    })
    proxy = await startProxy(lab, 0, ['BasicAuth anna s3cret'])
    await stream.progress(600_000, 60_000)
    await stream.finish()
  })
})
