// What people and machines get wrong: each mistake has its own message, code and exit status, and costs nothing on disk.

import assert from 'node:assert/strict'
import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createLab, type Lab } from './lab.ts'
import { labUnavailable, runOrSkip } from './netns.ts'
import {
  agentPlace,
  launchAgent,
  peerwayUnavailable,
  startAgent,
  startCoord,
  type AgentOptions,
  type PeerwayAgent,
  type PeerwayCoord,
} from './peerway.ts'
import type { RunResult } from './process.ts'

const options = runOrSkip(labUnavailable() ?? peerwayUnavailable(), 120_000)

const NOBODY = 65_534
const AS_NOBODY = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups']

/** One line on stderr, with the code in brackets at its end. */
function assertFailed(result: RunResult, code: string, says: RegExp, status = 1): void {
  assert.equal(result.status, status, result.stdout + result.stderr)
  assert.match(result.stderr, new RegExp(`\\[${code}\\]\\n$`))
  assert.match(result.stderr, says)
  assert.equal(result.stderr.trimEnd().split('\n').length, 1, result.stderr)
}

const stateText = (lab: Lab, hostname: string): string =>
  readFileSync(join(agentPlace(lab, hostname).state, 'agent.json'), 'utf8')

async function openLab(close: (fn: () => Promise<void>) => void): Promise<{ lab: Lab; coord: PeerwayCoord }> {
  const lab = await createLab({ sites: [{ nat: 'easy' }] })
  close(() => lab.close())
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  return { lab, coord }
}

const upWith = (agent: PeerwayAgent, server: string, ...more: readonly string[]): Promise<RunResult> =>
  agent.cli('up', '--login-server', server, '--timeout', '20s', ...more)

test('a join that cannot succeed says why, and the next one does', options, async (t) => {
  const { lab, coord } = await openLab((fn) => t.after(fn))
  const agent = await startAgent(lab, lab.client(0), { hostname: 'agent' })
  const machineKey = (): unknown => (JSON.parse(stateText(lab, 'agent')) as { machineKey: unknown }).machineKey
  const ours = machineKey()

  await t.test('no server named', async () => {
    assertFailed(await agent.cli('up'), 'agent/no-server', /--login-server/)
  })
  await t.test('an address that is none', async () => {
    assertFailed(await upWith(agent, 'ftp://nowhere'), 'agent/bad-server-url', /ftp:\/\/nowhere/)
  })
  await t.test('a port where nobody listens', async () => {
    const result = await upWith(agent, `http://${lab.coord.address}:9`, '--auth-key', 'pwkey-wrong')
    assertFailed(result, 'control/unreachable', /no server runs at this port/)
  })
  await t.test('a machine that does not answer at all', async () => {
    await lab.site(0).router.addRule(`ip daddr ${lab.coord.secondAddress} drop`)
    const result = await upWith(agent, `http://${lab.coord.secondAddress}:8480`, '--auth-key', 'pwkey-wrong')
    assertFailed(result, 'control/unreachable', /did not answer in time/)
    await lab.site(0).router.clearRules()
  })
  await t.test('a name that does not exist', async () => {
    assertFailed(await upWith(agent, 'http://no-such-name.invalid'), 'control/unreachable', /no-such-name\.invalid/)
  })
  await t.test('a web server that is no coordination server', async () => {
    const serve = `require('http').createServer((_, r) => r.end('<h1>It works!</h1>')).listen(80, '${lab.coord.address}', () => console.log('listening'))`
    const web = lab.coord.ns.start([process.execPath, '-e', serve])
    await web.waitForOutput(/listening/)
    assertFailed(await upWith(agent, `http://${lab.coord.address}`), 'control/not-a-server', /no coordination server/)
    await web.stop()
  })
  await t.test('https where the server speaks it with a certificate of its own', async () => {
    const result = await upWith(agent, coord.url.replace('http:', 'https:'))
    assertFailed(result, 'control/tls', /Nobody this computer trusts/)
  })
  await t.test('a key that never was', async () => {
    assertFailed(await upWith(agent, coord.url, '--auth-key', 'pwkey-wrong'), 'agent/key-refused', /key/)
    assert.equal((await agent.status()).BackendState, 'NeedsLogin')
  })
  await t.test('a key that was used already', async () => {
    const key = await coord.createAuthKey('anna')
    assert.equal((await upWith(agent, coord.url, '--auth-key', key)).status, 0)
    const second = await startAgent(lab, { ...lab.client(0), ns: lab.wan }, { hostname: 'second' })
    assertFailed(await upWith(second, coord.url, '--auth-key', key), 'agent/key-refused', /used/)
    await second.stop()
  })
  await t.test('all of it left the identity of the machine alone', async () => {
    assert.equal(machineKey(), ours)
    assert.equal((await agent.status()).BackendState, 'Running')
  })
  await t.test('a mistyped server does not cost the login at another', async () => {
    const before = await agent.addresses()
    assertFailed(await upWith(agent, `http://${lab.coord.address}:9`), 'control/unreachable', /:9/)
    assert.equal((await agent.status()).BackendState, 'Stopped')
    const back = await agent.cli('up', '--timeout', '20s')
    assert.equal(back.status, 0, back.stderr)
    assert.deepEqual(await agent.addresses(), before)
    assert.equal((JSON.parse(stateText(lab, 'agent')) as { profiles: unknown[] }).profiles.length, 1)
  })
})

test('an agent that cannot start says why and leaves the state as it was', options, async (t) => {
  const { lab, coord } = await openLab((fn) => t.after(fn))
  const machine = lab.client(0)
  const fails = async (more: AgentOptions, code: string, says: RegExp): Promise<void> => {
    const started = launchAgent(lab, machine, more)
    const status = await started.exited
    assertFailed({ status: Number(status), stdout: started.stdout, stderr: started.output }, code, says)
  }
  const agent = await startAgent(lab, machine, { hostname: 'agent' })
  await agent.up({ loginServer: coord.url, authKey: await coord.createAuthKey('anna') })

  await t.test('another agent has the socket', () => fails({ hostname: 'agent' }, 'agent/already-running', /--socket/))
  await t.test('another agent has the state', () =>
    fails({ hostname: 'agent', socket: join(lab.dir, 'other.sock') }, 'agent/state-in-use', /--state/),
  )
  await agent.stop()
  const good = stateText(lab, 'agent')
  const file = join(agentPlace(lab, 'agent').state, 'agent.json')

  for (const [name, text, code, says] of [
    ['cut off', good.slice(0, good.length / 2), 'agent/state-damaged', /backup/],
    ['empty', '', 'agent/state-damaged', /backup/],
    ['with a broken key', good.replace(/privkey:[0-9a-f]{8}/, 'privkey:'), 'agent/state-damaged', /backup/],
    ['of a later version', good.replace('"format": 1', '"format": 99'), 'agent/state-newer', /newer/],
  ] as const)
    await t.test(`a state file ${name}`, async () => {
      assert.notEqual(text, good)
      writeFileSync(file, text)
      await fails({ hostname: 'agent' }, code, says)
      assert.equal(stateText(lab, 'agent'), text)
    })

  await t.test('the good state file comes back', async () => {
    writeFileSync(file, good)
    const again = await startAgent(lab, machine, { hostname: 'agent' })
    await again.untilState('Running', 10_000)
    await again.stop()
  })

  await t.test('a state folder that it may not write', async () => {
    const { state } = agentPlace(lab, 'locked')
    mkdirSync(state, { mode: 0o500 })
    chownSync(state, NOBODY, NOBODY)
    await fails({ hostname: 'locked', through: AS_NOBODY }, 'agent/no-socket', /EACCES/)
    chmodSync(lab.dir, 0o711)
    await fails({ hostname: 'locked', through: AS_NOBODY }, 'agent/state-unwritable', /rights/)
  })

  await t.test('a file of somebody in the place of the socket', async () => {
    const { state, socket } = agentPlace(lab, 'file')
    mkdirSync(state)
    writeFileSync(socket, 'precious')
    await fails({ hostname: 'file' }, 'agent/no-socket', /file of another kind/)
    assert.equal(readFileSync(socket, 'utf8'), 'precious')
  })
})

test('a device that cannot be opened is told at the login, before the key is used', options, async (t) => {
  const { lab, coord } = await openLab((fn) => t.after(fn))
  const machine = lab.client(0)
  const key = await coord.createAuthKey('anna')
  const refuses = async (more: AgentOptions, code: string, says: RegExp): Promise<void> => {
    const agent = await startAgent(lab, machine, more)
    assertFailed(await upWith(agent, coord.url, '--auth-key', key), code, says)
    const told = await agent.status()
    assert.match((told.Health ?? []).join('\n'), says)
    await agent.stop()
  }

  await t.test('another program has the UDP port', async () => {
    const take = `require('dgram').createSocket('udp4').bind(41641, () => console.log('bound'))`
    const other = machine.ns.start([process.execPath, '-e', take])
    await other.waitForOutput(/bound/)
    await refuses({ hostname: 'no-port' }, 'dataplane/port-in-use', /41641/)
    await other.stop()
  })
  await t.test('another program has the network device', async () => {
    await machine.ns.ip('tuntap add dev peerway0 mode tap')
    await refuses({ hostname: 'no-name' }, 'dataplane/tun-busy', /peerway0/)
    await machine.ns.ip('link delete peerway0')
  })
  await t.test('the system has no TUN', async () => {
    const through = ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs none /dev/net && exec "$@"', 'sh']
    await refuses({ hostname: 'no-tun', through }, 'dataplane/no-tun-device', /modprobe tun/)
  })
  await t.test('root without the right to change the network', async () => {
    const through = ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin']
    await refuses({ hostname: 'no-capability', through }, 'dataplane/no-rights', /CAP_NET_ADMIN/)
  })
  await t.test('a user without any right', async () => {
    const { state } = agentPlace(lab, 'nobody')
    mkdirSync(state)
    chownSync(state, NOBODY, NOBODY)
    chmodSync(lab.dir, 0o711)
    await refuses({ hostname: 'nobody', through: AS_NOBODY }, 'dataplane/no-rights', /CAP_NET_ADMIN/)
  })
  await t.test('the key is still good', async () => {
    const agent = await startAgent(lab, machine, { hostname: 'agent' })
    await agent.up({ loginServer: coord.url, authKey: key })
  })
})

test('a command without an agent, and wrong usage, have their own exit status', options, async (t) => {
  const { lab } = await openLab((fn) => t.after(fn))
  const machine = lab.client(0)
  const agent = await startAgent(lab, machine, { hostname: 'agent' })
  assertFailed(await agent.cli('ping', 'nas'), 'agent/not-running', /peerway up/)
  assertFailed(await agent.cli('logout'), 'agent/not-logged-in', /not logged in/)
  assertFailed(await agent.cli('stauts'), 'cli/usage', /stauts/, 2)
  assertFailed(await agent.cli('up', '--timeout', 'soon'), 'cli/usage', /soon/, 2)
  assertFailed(await agent.cli('up', '--no-such-flag'), 'cli/usage', /no-such-flag/, 2)
  await agent.stop()
  assertFailed(await agent.cli('status'), 'cli/no-agent', /peerway agent/)
})
