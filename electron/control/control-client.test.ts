import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { systemClock, VirtualClock, type Clock } from '../base/clock.ts'
import { isCoded } from '../base/errors.ts'
import { DiscoPrivate, MachinePrivate, NodePrivate } from '../crypto/keys.ts'
import type { MapRequest } from '../wire/tailcfg/map-request.ts'
import type { RegisterRequest } from '../wire/tailcfg/register.ts'
import { CAPABILITY_VERSION, ControlClient, type PollStatus } from './control-client.ts'
import type { NodeState } from './map-stream.ts'
import type { Netmap } from './netmap.ts'
import type { Registration } from './registration.ts'
import { type Poll, type RegisterAnswer, TinyServer, type TinyServerOptions } from './tiny-server.ts'

const forever = new AbortController().signal
const nodeKey = NodePrivate.generate().public
const registration: Registration = { nodeKey, nlKey: `nlpub:${'0'.repeat(64)}`, hostinfo: { hostname: 'test' } }
const state: NodeState = {
  nodeKey,
  discoKey: DiscoPrivate.generate().public,
  hostinfo: { hostname: 'test' },
  endpoints: [{ endpoint: '192.0.2.1:41641', type: 'stun' }],
}
const self = { id: '1', key: nodeKey, name: 'test.tail.example.', addresses: ['100.64.0.1/32'] }

async function setUp(
  t: TestContext,
  options: TinyServerOptions & { clock?: Clock } = {},
): Promise<{ server: TinyServer; client: ControlClient; machineKey: MachinePrivate }> {
  const server = await new TinyServer(options).start()
  const machineKey = MachinePrivate.generate()
  const client = new ControlClient({ serverUrl: server.url, machineKey, clock: options.clock ?? systemClock })
  t.after(async () => {
    client.close()
    await server.stop()
  })
  return { server, client, machineKey }
}

/** Values that come one by one, awaited in order. */
class Inbox<T> {
  readonly #ready: T[] = []
  readonly #waiting: ((value: T) => void)[] = []
  readonly put = (value: T): void => {
    const waiting = this.#waiting.shift()
    if (waiting) waiting(value)
    else this.#ready.push(value)
  }
  next(): Promise<T> {
    const ready = this.#ready.shift()
    return ready === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(ready)
  }
  async until(accept: (value: T) => boolean): Promise<T> {
    for (;;) {
      const value = await this.next()
      if (accept(value)) return value
    }
  }
}

const disconnected = (status: PollStatus): boolean => status.kind === 'disconnected'
const codeOfStatus = (status: PollStatus): string => (status.kind === 'disconnected' ? status.error.code : status.kind)

test('registers with an auth key, and the server sees machine key and version', async (t) => {
  const { server, client, machineKey } = await setUp(t)
  let seen: RegisterRequest | undefined
  server.onRegister = (request) => {
    seen = request
    return { user: { id: '7', displayName: 'Alice' }, login: { id: '7', loginName: 'alice' } }
  }
  const outcome = await client.register({ ...registration, authKey: 'secret' }, forever)
  assert.equal(outcome.kind, 'registered')
  assert.equal(outcome.login.loginName, 'alice')
  assert.equal(seen?.auth?.authKey, 'secret')
  assert.equal(seen.nodeKey.text, nodeKey.text)
  assert.equal(seen.hostinfo?.hostname, 'test')
  assert.equal(seen.expiryMs, undefined)
  assert.deepEqual(
    server.machineKeys.map((key) => key.text),
    [machineKey.public.text],
  )
  assert.deepEqual(server.versions, [CAPABILITY_VERSION])
})

test('works with a server that sends no early payload', async (t) => {
  const { client } = await setUp(t, { earlyPayload: false })
  assert.equal((await client.register(registration, forever)).kind, 'registered')
})

test('an interactive login is a page, then waits for its end', async (t) => {
  const { server, client } = await setUp(t)
  const page = `${server.url}/register/abc`
  let finish = (): void => {}
  server.onRegister = ({ followup }) =>
    followup === '' ? { authUrl: page } : new Promise((resolve) => (finish = () => resolve({ login: { id: '7' } })))
  assert.deepEqual(await client.register(registration, forever), { kind: 'login', url: page })
  const ended = client.register({ ...registration, followup: page }, forever)
  // The connection is shared: another request passes the one that waits.
  await client.update(state)
  finish()
  assert.equal((await ended).kind, 'registered')
  assert.equal(server.versions.length, 1)
})

test('each answer of the server is its outcome', async (t) => {
  const { server, client } = await setUp(t)
  const answer = async (response: Awaited<ReturnType<TinyServer['onRegister']>>) => {
    server.onRegister = () => response
    return client.register(registration, forever)
  }
  assert.deepEqual(await answer({ error: 'invalid pre auth key', nodeKeyExpired: true }), {
    kind: 'refused',
    message: 'invalid pre auth key',
  })
  assert.deepEqual(await answer({ nodeKeyExpired: true, authUrl: 'http://x' }), { kind: 'key-expired' })
  await assert.rejects(answer({ authUrl: 'file:///etc/passwd' }), (error) => isCoded(error, 'control/bad-answer'))
  await assert.rejects(answer({ status: 400 }), (error) => isCoded(error, 'control/refused'))
})

test('a rate limit is waited out for as long as the server says', async (t) => {
  const clock = new VirtualClock()
  const { server, client } = await setUp(t, { clock })
  const asked: string[] = []
  server.onRegister = (request): RegisterAnswer => {
    asked.push(request.nodeKey.text)
    return asked.length === 1 ? { status: 429, headers: { 'Retry-After': '20' } } : {}
  }
  const outcome = client.register(registration, forever)
  let waitedMs = 0
  while (asked.length < 2) {
    if (asked.length === 1) {
      clock.advance(100)
      waitedMs += 100
    }
    await new Promise(setImmediate)
  }
  assert.equal((await outcome).kind, 'registered')
  assert.ok(waitedMs >= 20_000, `waited ${waitedMs} ms`)
})

test('a logout is a registration that ended in 1970', async (t) => {
  const { server, client } = await setUp(t)
  let seen: RegisterRequest | undefined
  server.onRegister = (request) => {
    seen = request
    return { nodeKeyExpired: true }
  }
  await client.logout({ ...registration, authKey: 'secret' }, forever)
  assert.equal(seen?.expiryMs, 123_000)
  assert.equal(seen.auth, undefined)
})

test('the poll gives the netmap, its changes, and ends when told', async (t) => {
  const { server, client } = await setUp(t)
  const updates = new Inbox<MapRequest>()
  server.onUpdate = (request) => {
    updates.put(request)
    return 200
  }
  const polls = new Inbox<Poll>()
  server.onPoll = polls.put
  const netmaps = new Inbox<Netmap>()
  const statuses: PollStatus['kind'][] = []
  const stop = new AbortController()
  const polling = client.poll(state, netmaps.put, ({ kind }) => statuses.push(kind), stop.signal)

  const poll = await polls.next()
  assert.equal(poll.request.stream, true)
  assert.equal(poll.request.compress, 'zstd')
  const update = await updates.next()
  assert.equal(update.omitPeers, true)
  assert.deepEqual([update.endpoints, update.endpointTypes], [['192.0.2.1:41641'], [2]])
  assert.equal(update.discoKey?.text, state.discoKey.text)

  poll.send({ keepAlive: true })
  poll.send({ node: self, peers: [{ id: '2', name: 'two.' }] })
  assert.deepEqual([...(await netmaps.next()).peers.keys()], ['2'])
  poll.send({ keepAlive: true })
  poll.send({ peersChanged: [{ id: '3', name: 'three.' }] })
  assert.deepEqual([...(await netmaps.next()).peers.keys()], ['2', '3'])
  stop.abort()
  await polling
  assert.deepEqual(statuses, ['connecting', 'connected'])
})

test('a map of a megabyte comes through', async (t) => {
  const { server, client } = await setUp(t)
  const peers = Array.from({ length: 3000 }, (_, i) => ({
    id: String(i + 2),
    key: NodePrivate.parse(`privkey:${i.toString(16).padStart(64, '1')}`).public,
    name: `machine-number-${i}.a-rather-long-tailnet-name.example.`,
  }))
  server.onPoll = (poll) => poll.send({ node: self, peers })
  const netmaps = new Inbox<Netmap>()
  const stop = new AbortController()
  const polling = client.poll(state, netmaps.put, () => {}, stop.signal)
  assert.equal((await netmaps.next()).peers.size, 3000)
  stop.abort()
  await polling
})

test('a broken connection is made anew, and unchanged parts of the netmap stay the same', async (t) => {
  const { server, client } = await setUp(t)
  server.onPoll = (poll) => poll.send({ node: self, peers: [{ id: '2' }], domain: `d${server.versions.length}` })
  const netmaps = new Inbox<Netmap>()
  const statuses = new Inbox<PollStatus>()
  const stop = new AbortController()
  const polling = client.poll(state, netmaps.put, statuses.put, stop.signal)
  const before = await netmaps.next()
  server.cut()
  assert.equal(codeOfStatus(await statuses.until(disconnected)), 'control/disconnected')
  const after = await netmaps.next()
  assert.equal(after.domain, 'd2')
  assert.equal(after.peers, before.peers)
  assert.equal(server.keyRequests, 1, 'the key is remembered')
  stop.abort()
  await polling
})

test('two minutes of silence end a session, a keep-alive gives two more', async (t) => {
  const clock = new VirtualClock()
  const { server, client } = await setUp(t, { clock })
  const polls = new Inbox<Poll>()
  server.onPoll = (poll) => {
    polls.put(poll)
    poll.send({ node: self, peers: [{ id: '2' }] })
  }
  const netmaps = new Inbox<Netmap>()
  const statuses = new Inbox<PollStatus>()
  const stop = new AbortController()
  const polling = client.poll(state, netmaps.put, statuses.put, stop.signal)
  const poll = await polls.next()
  await netmaps.next()
  // Pings of the connection are answered in real time, so the clock goes in steps that leave them time.
  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 10_000) {
      clock.advance(10_000)
      await client.update(state)
    }
  }
  await pass(110_000)
  poll.send({ peersChangedPatch: [{ nodeId: '2', online: true }] })
  await netmaps.next()
  await pass(110_000)
  poll.send({ peersChangedPatch: [{ nodeId: '2', online: false }] })
  await netmaps.next()
  await pass(120_000)
  const status = await statuses.until(disconnected)
  assert.ok(status.kind === 'disconnected' && status.error.message.includes('120 s'))
  clock.advance(status.retryInMs + 1)
  await polls.next()
  stop.abort()
  await polling
})

test('a removed node, a map without us and a garbled map are told apart', async (t) => {
  const { server, client } = await setUp(t)
  const codes: string[] = []
  const answers: ((poll: Poll) => number | void)[] = [
    () => 404,
    (poll) => poll.send({ peers: [{ id: '2' }] }),
    (poll) => poll.sendRaw(Uint8Array.of(3, 0, 0, 0, 1, 2, 3)),
    () => 500,
    (poll) => poll.end(),
  ]
  server.onPoll = (poll) => (answers.shift() ?? (() => 500))(poll)
  const stop = new AbortController()
  await client.poll(
    state,
    () => assert.fail('no netmap is to be had'),
    (status) => {
      if (status.kind !== 'disconnected') return
      codes.push(status.error.code)
      if (codes.length === 5) stop.abort()
    },
    stop.signal,
  )
  assert.deepEqual(codes, [
    'control/node-unknown',
    'control/bad-map',
    'control/bad-answer',
    'control/refused',
    'control/disconnected',
  ])
})

test('updates are sent one at a time, and only the newest of those that wait', async (t) => {
  const { server, client } = await setUp(t)
  const arrived = new Inbox<string>()
  const seen: string[] = []
  let release = (): void => {}
  server.onUpdate = async ({ hostinfo }) => {
    const name = hostinfo?.hostname ?? ''
    seen.push(name)
    arrived.put(name)
    if (name === 'a') await new Promise<void>((resolve) => (release = resolve))
    return 200
  }
  const named = (hostname: string): NodeState => ({ ...state, hostinfo: { hostname } })
  void client.update(named('a'))
  await arrived.next()
  void client.update(named('b'))
  const last = client.update(named('c'))
  release()
  await last
  assert.deepEqual(seen, ['a', 'c'])
})

test('an update that fails is tried again with the newest state, and a refused one is given up', async (t) => {
  const { server, client } = await setUp(t)
  const seen: string[] = []
  server.onUpdate = ({ hostinfo }) => {
    seen.push(hostinfo?.hostname ?? '')
    if (seen.length === 1) server.cut()
    return seen.length === 3 ? 404 : 200
  }
  await client.update(state)
  assert.deepEqual(seen, ['test', 'test'])
  await client.update({ ...state, hostinfo: { hostname: 'refused' } })
  assert.deepEqual(seen, ['test', 'test', 'refused'])
})

test('pings of the server are answered, once each, and only to itself', async (t) => {
  const { server, client } = await setUp(t)
  const netmaps = new Inbox<Netmap>()
  const polls = new Inbox<Poll>()
  server.onPoll = polls.put
  const stop = new AbortController()
  const polling = client.poll(state, netmaps.put, () => {}, stop.signal)
  const poll = await polls.next()
  const ping = async (pingRequest: { url: string; urlIsNoise?: boolean; types?: string; payload?: Uint8Array }) => {
    const answered = server.otherRequest()
    poll.send({ keepAlive: true, pingRequest })
    await answered
  }
  await ping({ url: `${server.url}/ping?id=1` })
  poll.send({ keepAlive: true, pingRequest: { url: `${server.url}/ping?id=1` } })
  poll.send({ keepAlive: true, pingRequest: { url: 'http://192.0.2.1/ping' } })
  poll.send({ keepAlive: true, pingRequest: { url: `${server.url}/ping?id=2`, types: 'ICMP' } })
  await ping({ url: `${server.url}/ping?id=3`, urlIsNoise: true })
  await ping({
    url: `${server.url}/machine/c2n?id=4`,
    types: 'c2n',
    payload: Buffer.from('POST /echo HTTP/1.1\r\nHost: x\r\nX: \xff\r\n\r\nhello', 'latin1'),
  })
  await ping({ url: '/machine/c2n?id=5', types: 'c2n', payload: Buffer.from('GET /debug/prefs HTTP/1.1\r\n\r\n') })
  assert.deepEqual(server.others, [
    'HEAD /ping?id=1',
    'HEAD /ping?id=3',
    'POST /machine/c2n?id=4 HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello',
    'POST /machine/c2n?id=5 HTTP/1.1 400 Bad Request\r\nContent-Length: 16\r\n\r\nunknown c2n path',
  ])
  stop.abort()
  await polling
})

const rejectsWith = (promise: Promise<unknown>, code: string): Promise<void> =>
  assert.rejects(promise, (error) => isCoded(error, code))

test('a server with another key than announced is refused, and the key is asked for again', async (t) => {
  const { server, client } = await setUp(t)
  server.announcedKey = MachinePrivate.generate().public
  await rejectsWith(client.register(registration, forever), 'control/wrong-key')
  server.announcedKey = undefined
  assert.equal((await client.register(registration, forever)).kind, 'registered')
})

test('a server set up anew under the same address is found again', async (t) => {
  const { server, client } = await setUp(t)
  await client.register(registration, forever)
  server.noiseKey = MachinePrivate.generate()
  server.cut()
  await rejectsWith(client.register(registration, forever), 'control/wrong-key')
  assert.equal((await client.register(registration, forever)).kind, 'registered')
})

test('a refused handshake gives the words of the server', async (t) => {
  const { server, client } = await setUp(t)
  server.refusal = 'this client is too old'
  await assert.rejects(
    client.register(registration, forever),
    (error) => isCoded(error, 'control/refused') && error.message.includes('this client is too old'),
  )
})

async function webServer(
  t: TestContext,
  answer: (path: string) => { status: number; headers?: Record<string, string> },
) {
  const server = createServer((request, response) => {
    const { status, headers } = answer(request.url ?? '')
    response.writeHead(status, headers ?? {})
    response.end('<html>hello</html>')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const clientOf = (t: TestContext, serverUrl: string): ControlClient => {
  const client = new ControlClient({ serverUrl, machineKey: MachinePrivate.generate() })
  t.after(() => client.close())
  return client
}

test('a web server, a wrong address and a dead port are told apart', async (t) => {
  const web = await webServer(t, () => ({ status: 200 }))
  await rejectsWith(clientOf(t, web).register(registration, forever), 'control/not-a-server')
  const other = await webServer(t, () => ({ status: 404 }))
  await rejectsWith(clientOf(t, other).register(registration, forever), 'control/not-a-server')
  await assert.rejects(
    clientOf(t, 'http://127.0.0.1:1').register(registration, forever),
    (error) => isCoded(error, 'control/unreachable') && error.message.includes('no server runs at this port'),
  )
  await assert.rejects(clientOf(t, 'http://name.invalid').register(registration, forever), (error) =>
    isCoded(error, 'control/unreachable'),
  )
})

test('a redirect to the real server is followed for its key', async (t) => {
  const { server } = await setUp(t)
  const front = await webServer(t, (path) => ({ status: 307, headers: { Location: `${server.url}${path}` } }))
  const client = clientOf(t, front)
  // The channel itself is not redirected; that the key was read shows in which step failed.
  await assert.rejects(
    client.register(registration, forever),
    (error) => isCoded(error) && error.message.includes('307'),
  )
  assert.equal(server.keyRequests, 1)
})

test('cancelling, and closing, end what is under way', async (t) => {
  const { server, client } = await setUp(t)
  const asked = new Inbox<number>()
  server.onRegister = () => {
    asked.put(1)
    return new Promise(() => {})
  }
  const stop = new AbortController()
  const first = client.register(registration, stop.signal)
  await asked.next()
  stop.abort(new Error('enough'))
  await assert.rejects(first, /enough/)
  const second = client.register(registration, forever)
  await asked.next()
  client.close()
  await rejectsWith(second, 'control/closed')
  await rejectsWith(client.register(registration, forever), 'control/closed')
})
