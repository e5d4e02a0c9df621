import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { isCoded } from '../base/errors.ts'
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
