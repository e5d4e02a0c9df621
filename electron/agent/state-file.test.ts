import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import fc from 'fast-check'
import { isCoded } from '../base/errors.ts'
import { NodePrivate } from '../crypto/keys.ts'
import { decodeState, encodeState, newState, type Profile, StateFile, withProfile } from './state-file.ts'

const profile = (id: string): Profile => ({
  id,
  serverUrl: 'https://home.example.org',
  nodeKey: NodePrivate.generate(),
  oldNodeKey: NodePrivate.generate().public,
  lockSeed: new Uint8Array(32).fill(7),
  hostname: 'desk',
  loginName: undefined,
  tailnetName: 'Lindenhof',
})

const inFolder = async (work: (folder: string) => Promise<void>): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'peerway-state-'))
  try {
    await work(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

test('what is written is read back', () => {
  const state = withProfile(withProfile(newState(), profile('a')), profile('b'))
  const again = decodeState(encodeState(state), 'x')
  assert.equal(encodeState(again), encodeState(state))
  assert.equal(again.currentProfile, 'b')
})

test('the relay settings are kept, and a file from before them means off', () => {
  const relay = { port: 0, staticEndpoints: ['192.0.2.1:7'], bytesPerSecond: 1_000 }
  for (const wanted of [relay, { ...relay, port: undefined }]) {
    const text = encodeState(withProfile(newState(), { ...profile('a'), relay: wanted }))
    assert.deepEqual(decodeState(text, 'x').profiles[0]?.relay, wanted)
  }
  assert.equal(decodeState(encodeState(withProfile(newState(), profile('a'))), 'x').profiles[0]?.relay, undefined)
})

test('addresses that never led to a login do not pile up', () => {
  let state = withProfile(newState(), profile('home'))
  for (let i = 0; i < 200; i++)
    state = withProfile(state, { ...profile(`typo-${i}`), nodeKey: undefined, oldNodeKey: undefined })
  assert.deepEqual(
    state.profiles.map(({ id }) => id),
    ['home', 'typo-199'],
  )
})

test('the machine key stays the same over restarts, in a file only its owner can read', () =>
  inFolder(async (folder) => {
    const first = await StateFile.open(folder)
    await first.close()
    const second = await StateFile.open(folder)
    assert.equal(second.state.machineKey.public.text, first.state.machineKey.public.text)
    assert.equal((await stat(first.path)).mode & 0o777, 0o600)
    await second.update((state) => withProfile(state, profile('a')))
    await second.close()
    const third = await StateFile.open(folder)
    assert.equal(third.state.profiles.length, 1)
    await third.close()
    assert.deepEqual(await readdir(folder), ['agent.json'])
  }))

test('two agents never share a folder', () =>
  inFolder(async (folder) => {
    const first = await StateFile.open(folder)
    await assert.rejects(StateFile.open(folder), (error) => isCoded(error, 'agent/state-in-use'))
    await first.close()
  }))

test('a damaged file is refused and left as it is, never replaced by a new identity', () =>
  inFolder(async (folder) => {
    const path = join(folder, 'agent.json')
    const good = encodeState(withProfile(newState(), profile('a')))
    for (const bad of [
      '',
      '{',
      '[]',
      'null',
      good.slice(0, good.length / 2),
      good.replace('privkey:', 'privkey:zz'),
      good.replace('"a"', '"other"'),
    ]) {
      await writeFile(path, bad)
      await assert.rejects(
        StateFile.open(folder),
        (error) => isCoded(error, 'agent/state-damaged') && error.message.includes(path),
      )
      assert.equal(await readFile(path, 'utf8'), bad)
    }
  }))

test('a file of a newer version is refused by name', () => {
  const newer = encodeState(newState()).replace('"format": 1', '"format": 2')
  assert.throws(
    () => decodeState(newer, 'x'),
    (error) => isCoded(error, 'agent/state-newer'),
  )
})

test('no content whatever fails but with a code of ours', () => {
  const good = encodeState(withProfile(newState(), profile('a')))
  fc.assert(
    fc.property(fc.nat(good.length), fc.string({ maxLength: 4 }), (at, junk) => {
      try {
        decodeState(good.slice(0, at) + junk + good.slice(at + junk.length), 'x')
      } catch (error) {
        assert.ok(isCoded(error) && error.code.startsWith('agent/state-'))
        assert.ok(!/[0-9a-f]{16}/.test(error.message))
      }
    }),
  )
})

test('a file from before there were several networks keeps its login', () => {
  const nodeKey = NodePrivate.generate()
  const { machineKey } = newState()
  const before = {
    format: 1,
    machineKey: machineKey.secretText(),
    currentProfile: '0a1b2c3d',
    wantRunning: true,
    profiles: [
      {
        id: '0a1b2c3d',
        serverUrl: 'https://home.example.org',
        nodeKey: nodeKey.secretText(),
        oldNodeKey: null,
        lockSeed: '07'.repeat(32),
        hostname: 'desk',
        loginName: 'ines',
        tailnetName: 'Lindenhof',
      },
    ],
  }
  const state = decodeState(JSON.stringify(before), 'agent.json')
  const both = withProfile(state, { ...profile('b'), serverUrl: 'https://work.example.org' })
  const read = decodeState(encodeState(both), 'agent.json')
  assert.deepEqual([read.currentProfile, read.wantRunning], ['b', true])
  assert.equal(read.machineKey.secretText(), machineKey.secretText())
  assert.equal(read.profiles[0]?.id, '0a1b2c3d')
  assert.equal(read.profiles[0]?.nodeKey?.secretText(), nodeKey.secretText())
})

const KILLS = 5
/** Says each change once it is on disk. */
const WRITER = `
  const { StateFile, withProfile } = await import(process.argv[1])
  const { NodePrivate } = await import(process.argv[2])
  const file = await StateFile.open(process.argv[3])
  const from = Number(file.state.profiles.find(({ id }) => id === 'count')?.hostname ?? 0)
  for (let count = from + 1; ; count++) {
    await file.update((state) =>
      withProfile(state, {
        id: 'count', serverUrl: 'https://home.example.org', nodeKey: NodePrivate.generate(),
        lockSeed: new Uint8Array(32), hostname: String(count),
      }))
    console.log(count)
  }
`

test('an agent that is killed at any moment leaves what it said last, whole', { timeout: 60_000 }, () =>
  inFolder(async (folder) => {
    const modules = ['./state-file.ts', '../crypto/keys.ts'].map((name) => new URL(name, import.meta.url).href)
    for (let kill = 1; kill <= KILLS; kill++) {
      const args = ['--import', 'tsx', '--input-type=module', '-e', WRITER, ...modules, folder]
      const writer = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
      let said = 0
      let first: number | undefined
      for await (const line of createInterface(writer.stdout)) {
        said = Number(line)
        first ??= said
        if (said >= first + 3 * kill) writer.kill('SIGKILL')
      }
      const file = await StateFile.open(folder)
      const kept = Number(file.state.profiles.find(({ id }) => id === 'count')?.hostname)
      assert.ok(said > 0 && kept >= said, `${kept} is kept, ${said} was said`)
      await file.close()
      assert.deepEqual(await readdir(folder), ['agent.json'])
    }
  }),
)
