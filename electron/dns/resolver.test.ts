import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { connect, createServer } from 'node:net'
import { Resolver as NodeResolver } from 'node:dns/promises'
import { test, type TestContext } from 'node:test'
import { systemClock, VirtualClock } from '../base/clock.ts'
import { silentLogger } from '../base/log.ts'
import { RCODE, rcodeOf, readQuery, TYPE, writeAnswer } from '../wire/dns/message.ts'
import { DnsListener } from './dns-listener.ts'
import { type DnsPlan, responsibleFor } from './dns-plan.ts'
import { Resolver, type ResolverOptions } from './resolver.ts'
import { askOverTcp, askOverUdp, serverAddress } from './upstream.ts'

const PLAN: DnsPlan = {
  hosts: new Map([
    ['nas.home.example', ['100.64.0.7', 'fd7a:115c:a1e0::7']],
    ['wiki.corp.example', ['10.1.2.3']],
  ]),
  namesOf: new Map([['100.64.0.7', 'nas.home.example']]),
  routes: new Map<string, readonly string[]>([
    ['home.example', []],
    ['64.100.in-addr.arpa', []],
    ['corp.example', ['192.0.2.1']],
    ['lab.corp.example', ['192.0.2.2', '192.0.2.3']],
  ]),
  servers: ['192.0.2.9'],
  searchDomains: ['home.example'],
}

function queryFor(name: string, type: number, id = 7): Buffer {
  const head = Buffer.from([0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0])
  const labels = name.split('.').flatMap((label) => [Buffer.of(label.length), Buffer.from(label)])
  return Buffer.concat([head, ...labels, Buffer.from([0, 0, type, 0, 1])])
}

type Ask = NonNullable<ResolverOptions['ask']>

function resolverWith(ask: Ask, plan: DnsPlan | undefined = PLAN) {
  const clock = new VirtualClock()
  const resolver = new Resolver({ clock, log: silentLogger, systemServers: () => ['198.51.100.1'], ask })
  resolver.setPlan(plan)
  return { clock, resolver }
}

const nobody: Ask = () => Promise.reject(new Error('nobody was to be asked'))

async function ask(resolver: Resolver, name: string, type: number): Promise<readonly [number, number]> {
  const answer = await resolver.resolve(queryFor(name, type), 'udp')
  assert.ok(answer)
  return [rcodeOf(answer), (answer[7] ?? 0) | ((answer[6] ?? 0) << 8)]
}

test('the longest domain decides who answers', () => {
  const who = (name: string) => responsibleFor(name, PLAN)
  assert.deepEqual(who('x.lab.corp.example'), { kind: 'servers', servers: ['192.0.2.2', '192.0.2.3'] })
  assert.deepEqual(who('x.corp.example'), { kind: 'servers', servers: ['192.0.2.1'] })
  assert.deepEqual(who('wiki.corp.example'), { kind: 'here' })
  assert.deepEqual(who('gone.home.example'), { kind: 'here' })
  assert.deepEqual(who('nothome.example'), { kind: 'servers', servers: ['192.0.2.9'] })
  assert.deepEqual(responsibleFor('a.example', { ...PLAN, servers: [] }), { kind: 'system' })
})

test('names of the network are answered here and asked of nobody', async () => {
  const { resolver } = resolverWith(nobody)
  assert.deepEqual(await ask(resolver, 'NAS.home.example', TYPE.a), [RCODE.ok, 1])
  assert.deepEqual(await ask(resolver, 'nas.home.example', TYPE.aaaa), [RCODE.ok, 1])
  assert.deepEqual(await ask(resolver, 'nas.home.example', TYPE.any), [RCODE.ok, 2])
  assert.deepEqual(await ask(resolver, 'nas.home.example', TYPE.soa), [RCODE.ok, 0])
  assert.deepEqual(await ask(resolver, 'home.example', TYPE.a), [RCODE.ok, 0])
  assert.deepEqual(await ask(resolver, 'gone.home.example', TYPE.a), [RCODE.noSuchName, 0])
  assert.deepEqual(await ask(resolver, '7.0.64.100.in-addr.arpa', TYPE.ptr), [RCODE.ok, 1])
  assert.deepEqual(await ask(resolver, '8.0.64.100.in-addr.arpa', TYPE.ptr), [RCODE.noSuchName, 0])
})

const answering =
  (rcode: number): Ask =>
  (_, __, message) =>
    Promise.resolve(writeAnswer(readQuery(message), rcode, [], 512))

test('a server that does not answer gets company, and the first good answer counts', async () => {
  const asked: string[] = []
  const { clock, resolver } = resolverWith((transport, server, message, signal) => {
    asked.push(server)
    return server === '192.0.2.2' ? new Promise(() => {}) : answering(RCODE.ok)(transport, server, message, signal)
  })
  const answer = ask(resolver, 'x.lab.corp.example', TYPE.a)
  await Promise.resolve()
  clock.advance(800)
  assert.deepEqual(await answer, [RCODE.ok, 0])
  assert.deepEqual(asked, ['192.0.2.2', '192.0.2.3'])
})

test('a failure is passed over for the next server, and told when all fail', async () => {
  const asked: string[] = []
  const { resolver } = resolverWith((transport, server, message, signal) => {
    asked.push(server)
    return answering(server === '192.0.2.2' ? RCODE.refused : RCODE.noSuchName)(transport, server, message, signal)
  })
  assert.deepEqual(await ask(resolver, 'x.lab.corp.example', TYPE.a), [RCODE.noSuchName, 0])
  assert.equal(asked.length, 2)
  const { resolver: other } = resolverWith(answering(RCODE.failed))
  assert.deepEqual(await ask(other, 'x.lab.corp.example', TYPE.a), [RCODE.failed, 0])
})

test('with nobody answering the client is told in time', async () => {
  const { clock, resolver } = resolverWith(() => new Promise(() => {}))
  const answer = ask(resolver, 'www.example.org', TYPE.a)
  await Promise.resolve()
  clock.advance(5_000)
  assert.deepEqual(await answer, [RCODE.failed, 0])
})

test('an answer to another question is none', async () => {
  const { resolver } = resolverWith(() =>
    Promise.resolve(writeAnswer(readQuery(queryFor('other.example', TYPE.a)), RCODE.ok, [], 512)),
  )
  assert.deepEqual(await ask(resolver, 'www.example.org', TYPE.a), [RCODE.failed, 0])
})

test('as many wait as there is room for, and junk gets nothing', async () => {
  const { resolver, clock } = resolverWith(() => new Promise(() => {}))
  const waiting = Array.from({ length: 600 }, () => ask(resolver, 'www.example.org', TYPE.a))
  await new Promise((done) => setImmediate(done))
  assert.equal(resolver.counters.failed, 600 - 512)
  clock.advance(5_000)
  assert.equal((await Promise.all(waiting)).length, 600)
  assert.equal(await resolver.resolve(Buffer.from('junk'), 'udp'), undefined)
  assert.equal(resolver.counters.malformed, 1)
})

test('servers are addresses, with a port or without', () => {
  assert.deepEqual(serverAddress('192.0.2.1'), { address: '192.0.2.1', port: 53 })
  assert.deepEqual(serverAddress('[2001:db8::1]:5353'), { address: '2001:db8::1', port: 5_353 })
  assert.equal(serverAddress('https://dns.example/query'), undefined)
})

async function listening(t: TestContext, plan: DnsPlan, systemServers: readonly string[] = []) {
  const resolver = new Resolver({ clock: systemClock, log: silentLogger, systemServers: () => systemServers })
  resolver.setPlan(plan)
  const probe = createServer().listen(0, '127.0.0.1')
  await new Promise((done) => probe.once('listening', done))
  const { port } = probe.address() as { port: number }
  await new Promise((done) => probe.close(done))
  const listener = await DnsListener.open(resolver, ['127.0.0.1'], port)
  t.after(() => listener.close())
  return { server: `127.0.0.1:${port}`, port }
}

test('a client of others finds names through it, over UDP and TCP, and through it at another like it', async (t) => {
  const first = await listening(t, PLAN)
  const second = await listening(t, { ...PLAN, hosts: new Map(), namesOf: new Map(), routes: new Map(), servers: [] }, [
    first.server,
  ])
  for (const { server } of [first, second]) {
    const client = new NodeResolver()
    client.setServers([server])
    assert.deepEqual(await client.resolve4('nas.home.example'), ['100.64.0.7'])
    assert.deepEqual(await client.resolve6('nas.home.example'), ['fd7a:115c:a1e0::7'])
    await assert.rejects(client.resolve4('gone.home.example'), { code: 'ENOTFOUND' })
    assert.deepEqual(await client.reverse('100.64.0.7'), ['nas.home.example'])
    for (const over of [askOverTcp, askOverUdp]) {
      const answer = await over(server, queryFor('nas.home.example', TYPE.a), AbortSignal.timeout(5_000))
      assert.equal(rcodeOf(answer), RCODE.ok)
    }
  }
})

test('a taken port and a client that says too much are told apart from trouble', async (t) => {
  const { port, server } = await listening(t, PLAN)
  await assert.rejects(DnsListener.open({ resolve: async () => undefined }, ['127.0.0.1'], port), {
    code: 'dns/port-in-use',
  })
  const talker = connect(port, '127.0.0.1')
  talker.on('error', () => {})
  const closed = new Promise((done) => talker.once('close', done))
  talker.write(Buffer.concat([Buffer.from([0xff, 0xff]), Buffer.alloc(70_000)]))
  talker.write(Buffer.alloc(400_000, 0xff))
  await closed
  const mute = createSocket('udp4')
  await new Promise<void>((done) => mute.bind(0, '127.0.0.1', () => done()))
  t.after(() => mute.close())
  await assert.rejects(
    askOverUdp(`127.0.0.1:${mute.address().port}`, queryFor('a.example', 1), AbortSignal.timeout(50)),
    { code: 'dns/no-answer' },
  )
  assert.ok(await askOverUdp(server, queryFor('nas.home.example', 1), AbortSignal.timeout(5_000)))
})
