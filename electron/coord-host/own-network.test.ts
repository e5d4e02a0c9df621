import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { VirtualClock } from '../base/clock.ts'
import { isCoded } from '../base/errors.ts'
import { callAdmin } from '../coord/admin/admin-socket.ts'
import { TestMachine } from '../coord/test-machine.ts'
import type { OwnNetworkView } from '../contract/calls.ts'
import { silentLogger } from '../base/log.ts'
import { OwnNetwork } from './own-network.ts'

async function inFolder(work: (stateDir: string) => Promise<void>): Promise<void> {
  const stateDir = await mkdtemp(join(tmpdir(), 'peerway-own-'))
  try {
    await work(stateDir)
  } finally {
    await rm(stateDir, { recursive: true })
  }
}

const open = (stateDir: string): OwnNetwork => new OwnNetwork({ stateDir, log: silentLogger })

test('a network that was started once comes back at the same address', () =>
  inFolder(async (stateDir) => {
    const first = open(stateDir)
    assert.equal((await first.resume()).state, 'absent')
    const view = await first.start('Lindenhof')
    assert.equal(view.state, 'running')
    assert.equal(view.name, 'Lindenhof')
    assert.equal(view.ownerCanSignIn, false)
    const { serverUrl } = await first.ownKey()
    assert.equal((await fetch(`${serverUrl}/key?v=119`)).status, 200)
    assert.match(await first.signInSetupUrl(), /^http:\/\/localhost:\d+\/enrol\//)
    await first.close()
    await assert.rejects(fetch(`${serverUrl}/health`))

    const second = open(stateDir)
    const again = await second.resume()
    assert.deepEqual({ ...again }, { ...view })
    await second.close()
  }))

test('a computer that comes into another network is found there, with who has joined it', () =>
  inFolder(async (stateDir) => {
    const clock = new VirtualClock()
    let address = '192.0.2.1'
    const kept = new Set([address])
    const own = new OwnNetwork({
      stateDir,
      log: silentLogger,
      clock,
      address: () => address,
      has: (one) => kept.has(one),
    })
    const told: (string | undefined)[] = []
    own.onChange(({ joinUrl }) => told.push(joinUrl))
    const { joinUrl } = await own.start(undefined)
    assert.match(joinUrl ?? '', /^http:\/\/192\.0\.2\.1:\d+$/)
    const { serverUrl } = await own.ownKey()
    const keyOf = async (): Promise<string> => (await fetch(`${serverUrl}/key?v=119`)).text()
    const key = await keyOf()
    const moved = async (): Promise<string | undefined> => {
      const { length } = told
      clock.advance(10_000)
      for (let i = 0; i < 200 && told.length === length; i++) await new Promise((done) => setTimeout(done, 10))
      return own.view.joinUrl
    }
    address = '198.51.100.7'
    clock.advance(10_000)
    await new Promise((done) => setImmediate(done))
    assert.equal(own.view.joinUrl, joinUrl, 'an address more is no reason')
    kept.clear()
    address = '127.0.0.1'
    clock.advance(10_000)
    await new Promise((done) => setImmediate(done))
    assert.equal(own.view.joinUrl, joinUrl, 'without a network it stays where it was')
    address = '198.51.100.7'
    assert.equal(await moved(), joinUrl?.replace('192.0.2.1', '198.51.100.7'))
    assert.equal(await keyOf(), key, 'it is the same network')
    assert.equal((await own.invite()).serverUrl, own.view.joinUrl)
    address = '192.0.2.1'
    assert.equal(await moved(), joinUrl)
    await own.close()
  }))

test('keys for others are for one machine each, and name the address that others reach', () =>
  inFolder(async (stateDir) => {
    const own = open(stateDir)
    const view = await own.start(undefined)
    const [one, two] = [await own.invite(), await own.invite()]
    assert.equal(one.serverUrl, view.joinUrl)
    assert.notEqual(one.authKey, two.authKey)
    assert.ok(one.expiresAt > Date.now())
    await own.close()
  }))

test('takes the next port when another program has the usual one, and keeps it', () =>
  inFolder(async (stateDir) => {
    const other = createServer().listen(8480, '0.0.0.0')
    await new Promise((resolve, reject) => other.once('listening', resolve).once('error', reject))
    const own = open(stateDir)
    try {
      await own.start(undefined)
      const { port } = JSON.parse(await readFile(join(stateDir, 'own-network', 'network.json'), 'utf8')) as {
        port: number
      }
      assert.ok(port > 8480)
      assert.equal((await own.ownKey()).serverUrl, `http://127.0.0.1:${port}`)
    } finally {
      await own.close()
      await new Promise((resolve) => other.close(resolve))
    }
  }))

test('damaged settings are told and left as they are', () =>
  inFolder(async (stateDir) => {
    const own = open(stateDir)
    await own.start(undefined)
    await own.close()
    const path = join(stateDir, 'own-network', 'network.json')
    await writeFile(path, '{')
    const view = await open(stateDir).resume()
    assert.equal(view.state, 'failed')
    assert.equal(view.problem?.code, 'own/settings-damaged')
    assert.equal(await readFile(path, 'utf8'), '{')
    await assert.rejects(open(stateDir).start(undefined), (error) => isCoded(error, 'own/settings-damaged'))
  }))

test('nothing can be asked of a network that is not there', async () => {
  await assert.rejects(open('/nowhere').invite(), (error) => isCoded(error, 'own/not-running'))
})

/** The view once that many machines wait. */
const waits = (own: OwnNetwork, count: number): Promise<OwnNetworkView> =>
  new Promise((resolve) => {
    if (own.view.waiting.length === count) return resolve(own.view)
    own.onChange((view) => {
      if (view.waiting.length === count) resolve(view)
    })
  })

test('a machine that asks for itself is let in, or not', { timeout: 30_000 }, () =>
  inFolder(async (stateDir) => {
    const own = open(stateDir)
    await own.start(undefined)
    const { serverUrl } = await own.ownKey()
    const [tablet, stranger] = [new TestMachine(serverUrl, 'tablet'), new TestMachine(serverUrl, 'stranger')]
    try {
      const first = await tablet.register()
      const [asking] = (await waits(own, 1)).waiting
      assert.deepEqual([asking?.name, asking?.os, asking?.user], ['tablet', 'linux', undefined])
      await own.approve(asking?.id ?? '')
      assert.equal((await tablet.register({ followup: first.authUrl })).machineAuthorized, true)
      await waits(own, 0)

      const second = await stranger.register()
      await own.deny((await waits(own, 1)).waiting[0]?.id ?? '')
      assert.match((await stranger.register({ followup: second.authUrl })).error, /refused/)
      await waits(own, 0)
    } finally {
      tablet.close()
      stranger.close()
      await own.close()
    }
  }),
)

test('a machine that waits for approval is told of, also after a restart, and approved', { timeout: 30_000 }, () =>
  inFolder(async (stateDir) => {
    let own = open(stateDir)
    await own.start(undefined)
    const folder = join(stateDir, 'own-network', 'coord')
    assert.ok(await callAdmin(folder, 'settings.set', { deviceApproval: 'always' }, 10_000))
    const { serverUrl, authKey } = await own.invite()
    const late = new TestMachine(serverUrl, 'late')
    try {
      assert.equal((await late.register({ auth: { authKey } })).machineAuthorized, false)
      const [asking] = (await waits(own, 1)).waiting
      assert.equal(asking?.name, 'late')
      assert.notEqual(asking?.user, undefined)
      await own.close()
      own = open(stateDir)
      await own.resume()
      await own.approve((await waits(own, 1)).waiting[0]?.id ?? '')
      await waits(own, 0)
    } finally {
      late.close()
      await own.close()
    }
  }),
)
