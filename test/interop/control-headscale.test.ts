// Our control client with a stock server, over loopback: what it registers, is told and tells. No data plane takes part.

import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ControlClient, type PollStatus } from '../../electron/control/control-client.ts'
import type { NodeState } from '../../electron/control/map-stream.ts'
import type { Netmap } from '../../electron/control/netmap.ts'
import type { Registration } from '../../electron/control/registration.ts'
import { DiscoPrivate, MachinePrivate, NodePrivate } from '../../electron/crypto/keys.ts'
import type { Node } from '../../electron/wire/tailcfg/node.ts'
import { runOrSkip } from '../lab/netns.ts'
import { stockUnavailable } from '../stock/binaries.ts'
import { LocalHeadscale } from '../stock/local-headscale.ts'

const options = runOrSkip(stockUnavailable('headscale'), 120_000)
const forever = new AbortController().signal

async function startHeadscale(
  t: TestContext,
  config: object = {},
): Promise<{ headscale: LocalHeadscale; user: number }> {
  const headscale = await LocalHeadscale.create(config)
  t.after(() => headscale.close())
  await headscale.start()
  const { id } = await headscale.cli<{ id: number }>('users', 'create', 'anna')
  return { headscale, user: id }
}

/** A node without a data plane, and all that its client tells. */
class TestNode {
  readonly client: ControlClient
  readonly name: string
  nodeKey = NodePrivate.generate()
  state: NodeState
  netmap: Netmap | undefined
  readonly statuses: PollStatus[] = []
  readonly #stop = new AbortController()
  readonly #changed = new Set<() => void>()

  constructor(t: TestContext, serverUrl: string, name: string) {
    this.name = name
    this.client = new ControlClient({ serverUrl, machineKey: MachinePrivate.generate() })
    this.state = {
      nodeKey: this.nodeKey.public,
      discoKey: DiscoPrivate.generate().public,
      hostinfo: {
        hostname: name,
        os: 'linux',
        ipnVersion: '1.0-peerway',
        netInfo: { preferredDerp: 900, workingUdp: true },
      },
      endpoints: [],
    }
    t.after(() => this.client.close())
  }

  get registration(): Registration {
    return { nodeKey: this.nodeKey.public, nlKey: `nlpub:${'a1'.repeat(32)}`, hostinfo: this.state.hostinfo }
  }

  poll(): Promise<void> {
    return this.client.poll(
      this.state,
      (netmap) => {
        this.netmap = netmap
        for (const wake of this.#changed) wake()
      },
      (status) => {
        this.statuses.push(status)
        for (const wake of this.#changed) wake()
      },
      this.#stop.signal,
    )
  }

  stop(): void {
    this.#stop.abort()
  }

  /** Waits until `accept` gives something. */
  async until<T>(what: string, accept: () => T | undefined | false, withinMs = 30_000): Promise<T> {
    for (const endMs = Date.now() + withinMs; ;) {
      const value = accept()
      if (value !== undefined && value !== false) return value
      const leftMs = endMs - Date.now()
      if (leftMs <= 0) assert.fail(`${this.name} waited ${withinMs} ms in vain for: ${what}`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs)
        const wake = (): void => {
          clearTimeout(timer)
          this.#changed.delete(wake)
          resolve()
        }
        this.#changed.add(wake)
      })
    }
  }

  peer(name: string): Node | undefined {
    return [...(this.netmap?.peers.values() ?? [])].find((node) => node.name.startsWith(`${name}.`))
  }
}

test('registers with an auth key, gets the netmap, sees a second node come, change and go', options, async (t) => {
  const { headscale, user } = await startHeadscale(t)
  const key = await headscale.authKey(user, '--reusable')

  const ada = new TestNode(t, headscale.url, 'ada')
  const outcome = await ada.client.register({ ...ada.registration, authKey: key }, forever)
  assert.equal(outcome.kind, 'registered')
  const adaPolling = ada.poll()
  const first = await ada.until('the first netmap', () => ada.netmap)
  assert.equal(first.self.key.text, ada.nodeKey.public.text)
  assert.equal(first.self.name, 'ada.tail.test.')
  assert.equal(first.self.machineAuthorized, true)
  assert.deepEqual(first.self.addresses, ['100.64.0.1/32', 'fd7a:115c:a1e0::1/128'])
  assert.equal(first.derpMap.regions?.get(900)?.nodes[0]?.derpPort, 9443)
  assert.equal(first.dns?.proxied, true)
  assert.equal(first.domain, '127.0.0.1')
  assert.deepEqual(
    first.packetFilter.map(({ srcIps }) => srcIps),
    [['*']],
  )
  assert.equal(first.userProfiles.get(first.self.user)?.loginName, 'anna')
  assert.equal(first.peers.size, 0)
  assert.equal(first.clockOffsetMs, 0)

  const bob = new TestNode(t, headscale.url, 'bob')
  assert.equal((await bob.client.register({ ...bob.registration, authKey: key }, forever)).kind, 'registered')
  const bobPolling = bob.poll()
  await bob.until('ada among its peers', () => bob.peer('ada'))
  await ada.until('bob online with disco key and home', () => {
    const node = ada.peer('bob')
    return node?.online && node.discoKey?.text === bob.state.discoKey.text && node.homeDerp === 900
  })
  assert.equal(ada.netmap?.derpMap, first.derpMap, 'a delta leaves the rest alone')

  bob.state = { ...bob.state, endpoints: [{ endpoint: '192.0.2.7:41641', type: 'local' }] }
  await bob.client.update(bob.state)
  await ada.until('the endpoint of bob', () => ada.peer('bob')?.endpoints.includes('192.0.2.7:41641'))

  // This server announces a removal by a new full list, which says nothing when it is empty; so one more has to be there.
  const cyd = new TestNode(t, headscale.url, 'cyd')
  assert.equal((await cyd.client.register({ ...cyd.registration, authKey: key }, forever)).kind, 'registered')
  await ada.until('cyd, who never polled', () => ada.peer('cyd'))

  bob.stop()
  await bobPolling
  bob.client.close()
  await ada.until('bob offline', () => ada.peer('bob')?.online === false, 40_000)
  const bobId = await ada.until('the number of bob', () => ada.peer('bob')?.id)
  await headscale.cli('nodes', 'delete', '--identifier', bobId, '--force')
  await ada.until('bob gone', () => ada.peer('bob') === undefined)
  assert.ok(ada.peer('cyd'))
  ada.stop()
  await adaPolling
  assert.deepEqual(
    ada.statuses.map(({ kind }) => kind),
    ['connecting', 'connected'],
  )
})

test(
  'an interactive login waits for the operator, survives a restart of ours and of the server',
  options,
  async (t) => {
    const { headscale } = await startHeadscale(t)
    const node = new TestNode(t, headscale.url, 'eve')
    const asked = await node.client.register(node.registration, forever)
    assert.equal(asked.kind, 'login')
    assert.ok(asked.url.startsWith(`${headscale.url}/register/`))

    const waiting = node.client.register({ ...node.registration, followup: asked.url }, forever)
    const id = asked.url.split('/').at(-1) ?? ''
    await headscale.cli('nodes', 'register', '--user', 'anna', '--key', id)
    const signedIn = await waiting
    assert.equal(signedIn.kind, 'registered')

    // A restart of ours: the stored node key is enough.
    assert.equal((await node.client.register(node.registration, forever)).kind, 'registered')

    const polling = node.poll()
    await node.until('the first netmap', () => node.netmap)
    await headscale.stop()
    await node.until('the break', () => node.statuses.some(({ kind }) => kind === 'disconnected'))
    await headscale.start()
    node.client.networkChanged()
    await node.until('the second session', () => node.statuses.filter(({ kind }) => kind === 'connected').length === 2)

    await node.client.logout(node.registration, forever)
    await node.until('its key expired', () => {
      const expiryMs = node.netmap?.self.keyExpiryMs
      return expiryMs !== undefined && expiryMs <= Date.now()
    })
    assert.deepEqual(await node.client.register(node.registration, forever), { kind: 'key-expired' })
    node.stop()
    await polling
  },
)

test('a wrong auth key is refused in words, an unknown node is told apart', options, async (t) => {
  const { headscale } = await startHeadscale(t)
  const node = new TestNode(t, headscale.url, 'mallory')
  const outcome = await node.client.register({ ...node.registration, authKey: 'not-a-key' }, forever)
  assert.equal(outcome.kind, 'refused')
  assert.match(outcome.message, /key/i)

  const polling = node.poll()
  const failed = await node.until('a refusal', () => node.statuses.find(({ kind }) => kind === 'disconnected'))
  assert.equal(failed.kind === 'disconnected' && failed.error.code, 'control/node-unknown')
  node.stop()
  await polling
})

test('twenty nodes register one after the other, and each sees all others', options, async (t) => {
  const { headscale, user } = await startHeadscale(t)
  const key = await headscale.authKey(user, '--reusable')
  const count = 20
  const nodes = Array.from({ length: count }, (_, i) => new TestNode(t, headscale.url, `node-${i}`))
  const polls: Promise<void>[] = []
  for (const node of nodes) {
    assert.equal((await node.client.register({ ...node.registration, authKey: key }, forever)).kind, 'registered')
    polls.push(node.poll())
  }
  await Promise.all(
    nodes.map((node) =>
      node.until(
        'all others online',
        () => {
          const peers = [...(node.netmap?.peers.values() ?? [])]
          return peers.length === count - 1 && peers.every(({ online, discoKey }) => online === true && discoKey)
        },
        60_000,
      ),
    ),
  )
  for (const node of nodes) node.stop()
  await Promise.all(polls)
})
