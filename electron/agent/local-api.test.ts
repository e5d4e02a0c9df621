import assert from 'node:assert/strict'
import { mkdtemp, rename, rm, stat } from 'node:fs/promises'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { CodedError, isCoded } from '../base/errors.ts'
import { silentLogger } from '../base/log.ts'
import type { AgentHandlers } from '../contract/calls.ts'
import { AgentClient } from './client/agent-client.ts'
import { relayOff } from './relay-settings.ts'
import { LocalApi, type LocalApiSource } from './local-api.ts'
import { SnapshotStore } from './snapshot-store.ts'

function sourceOf(store: SnapshotStore, handlers: Partial<AgentHandlers> = {}): LocalApiSource {
  const done = (): Promise<void> => Promise.resolve()
  return {
    handlers: {
      'agent.snapshot': () => Promise.resolve(store.now),
      'agent.traffic': () => Promise.resolve({ peers: {} }),
      'agent.up': done,
      'agent.down': done,
      'agent.logout': done,
      'agent.switch': done,
      'agent.removeProfile': done,
      'agent.set': done,
      'agent.relayTest': () => Promise.resolve({ steps: [], failing: undefined }),
      'agent.relayStatus': () => Promise.resolve(relayOff(undefined)),
      'agent.ping': () => Promise.reject(new CodedError('agent/unknown-node', 'There is no such machine.')),
      'agent.pathHistory': () => Promise.resolve({ changes: [] }),
      'agent.netcheck': () => Promise.reject(new CodedError('agent/not-running', 'Not connected.')),
      'agent.dns': () => Promise.resolve(undefined),
      ...handlers,
    },
    snapshot: () => store.now,
    derpMap: () => ({ regions: new Map([[900, { regionId: 900, regionCode: 'own', regionName: 'Own', nodes: [] }]]) }),
    onSnapshot: (listener) => store.subscribe(listener),
    onEvent: () => () => {},
  }
}

async function withApi(
  work: (path: string, store: SnapshotStore) => Promise<void>,
  handlers: Partial<AgentHandlers> = {},
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'peerway-api-'))
  const path = join(folder, 'run', 'agent.sock')
  const store = new SnapshotStore('1.2.3')
  const api = await LocalApi.listen(path, sourceOf(store, handlers), silentLogger)
  try {
    await work(path, store)
  } finally {
    await api.close()
    await rm(folder, { recursive: true })
  }
}

test('calls are answered, and errors keep their code on the way', () =>
  withApi(async (path) => {
    const client = new AgentClient(path)
    assert.equal((await client.call('agent.snapshot')).version, '1.2.3')
    await assert.rejects(client.call('agent.ping', { target: 'nas', timeoutMs: 100 }), (error) =>
      isCoded(error, 'agent/unknown-node'),
    )
  }))

test('arguments are checked where they arrive', () => {
  const heard: unknown[] = []
  return withApi(
    async (path) => {
      const client = new AgentClient(path)
      const bad = { target: 'nas', timeoutMs: 1e9 }
      await assert.rejects(client.call('agent.ping', bad), (error) => isCoded(error, 'contract/bad-argument'))
      assert.deepEqual(heard, [])
    },
    {
      'agent.ping': (arg) => {
        heard.push(arg)
        return Promise.reject(new Error('not reached'))
      },
    },
  )
})

test('a watcher gets the present snapshot first, then each later one', () =>
  withApi(async (path, store) => {
    const stop = new AbortController()
    const seen: string[] = []
    for await (const snapshot of new AgentClient(path).snapshots(stop.signal)) {
      seen.push(snapshot.state)
      if (seen.length === 1) store.update(() => ({ state: 'starting' }))
      if (seen.length === 2) stop.abort()
    }
    assert.deepEqual(seen, ['stopped', 'starting'])
  }))

test('the DERP map is told in the form of this field', () =>
  withApi(async (path) => {
    const chunks: Buffer[] = []
    await new Promise<void>((resolve, reject) => {
      const sent = request({ socketPath: path, path: '/localapi/v0/derpmap' }, (response) => {
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', resolve)
      })
      sent.on('error', reject)
      sent.end()
    })
    assert.deepEqual(JSON.parse(Buffer.concat(chunks).toString()), {
      Regions: { 900: { RegionID: 900, RegionCode: 'own', RegionName: 'Own', Nodes: [] } },
    })
  }))

test('the status document answers without a login', () =>
  withApi(async (path) => {
    const status = await new AgentClient(path).status()
    assert.equal(status['BackendState'], 'Stopped')
    assert.deepEqual(status['Peer'], {})
  }))

const raw = (
  path: string,
  options: { method: string; url: string; headers?: Record<string, string>; body?: string },
): Promise<number> =>
  new Promise((resolve, reject) => {
    const sent = request(
      { socketPath: path, method: options.method, path: options.url, headers: options.headers ?? {} },
      (response) => {
        response.resume()
        resolve(response.statusCode ?? 0)
      },
    )
    sent.on('error', reject)
    sent.end(options.body)
  })

test('web pages, unknown paths and oversized bodies are refused', () =>
  withApi(async (path) => {
    assert.equal(
      await raw(path, { method: 'GET', url: '/localapi/v0/status', headers: { Origin: 'https://evil.example' } }),
      403,
    )
    assert.equal(await raw(path, { method: 'GET', url: '/nosuch' }), 404)
    assert.equal(await raw(path, { method: 'POST', url: '/peerway/v0/call', body: 'x'.repeat(70_000) }), 413)
    assert.equal(await raw(path, { method: 'POST', url: '/peerway/v0/call', body: '{' }), 200)
  }))

test('only its owner may open the socket, and a second agent is told of the first', () =>
  withApi(async (path) => {
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    await assert.rejects(LocalApi.assertFree(path), (error) => isCoded(error, 'agent/already-running'))
  }))

test('a socket that a crash left behind is taken over', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'peerway-api-'))
  const path = join(folder, 'agent.sock')
  // Moved away before its listener closes, so that the file stays, as a killed process leaves it.
  const dying = createServer().listen(`${path}.dying`)
  await new Promise((resolve) => dying.once('listening', resolve))
  await rename(`${path}.dying`, path)
  await new Promise((resolve) => dying.close(resolve))
  assert.ok((await stat(path)).isSocket())
  const api = await LocalApi.listen(path, sourceOf(new SnapshotStore('1')), silentLogger)
  await api.close()
  await rm(folder, { recursive: true })
})

test('without an agent the client says how to start one', async () => {
  await assert.rejects(new AgentClient('/tmp/peerway-no-such.sock').call('agent.snapshot'), (error) =>
    isCoded(error, 'cli/no-agent'),
  )
})
