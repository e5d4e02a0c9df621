// Stock clients of both versions under our coordination server: the life of a node from its first login to its logout.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { createLab } from '../lab/lab.ts'
import { addressOf, everyPairTalks, pingUntil } from '../lab/mesh-node.ts'
import { labUnavailable, runOrSkip } from '../lab/netns.ts'
import { peerwayUnavailable, startCoord, type PeerwayCoord } from '../lab/peerway.ts'
import { until } from '../lab/process.ts'
import { stockUnavailable } from '../stock/binaries.ts'
import { startTailscaled, type Tailscaled } from '../stock/tailscaled.ts'

const unavailable = labUnavailable() ?? peerwayUnavailable() ?? stockUnavailable('tailscale-new', 'tailscale-old')
const options = runOrSkip(unavailable, 300_000)

interface NodeInfo {
  readonly name: string
  readonly user: string
  readonly online: boolean
  readonly expired: boolean
  readonly addresses: readonly string[]
  readonly nodeKey: string
  readonly homeDerp: number
}

async function nodes(coord: PeerwayCoord): Promise<readonly NodeInfo[]> {
  return JSON.parse(await coord.cli('nodes', 'list', '--json')) as NodeInfo[]
}

async function node(coord: PeerwayCoord, name: string): Promise<NodeInfo> {
  const found = (await nodes(coord)).find((one) => one.name === name)
  assert.ok(found, `the server does not list ${name}`)
  return found
}

async function untilNode(
  coord: PeerwayCoord,
  name: string,
  what: string,
  is: (node: NodeInfo) => boolean,
): Promise<void> {
  await until(async () => is(await node(coord, name)), {
    timeoutMs: 30_000,
    everyMs: 200,
    what: `${name} to be ${what}`,
  })
}

/** Warnings come and go while a client starts; those that stay are ours to answer for. */
async function untilHealthy(client: Tailscaled): Promise<void> {
  await until(async () => (await client.health()).length === 0, {
    timeoutMs: 20_000,
    what: `${client.hostname} to have nothing to complain of`,
    explain: async () => JSON.stringify(await client.health()),
  })
}

test('stock clients join with a key, talk, and survive restarts of either side', options, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'easy' }, { nat: 'easy' }] })
  t.after(() => lab.close())
  let coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const authKey = await coord.createAuthKey('anna', { reusable: true })
  const a = await startTailscaled(lab, lab.client(0), { version: 'new', hostname: 'stock-new' })
  const b = await startTailscaled(lab, lab.client(1), { version: 'old', hostname: 'stock-old' })
  for (const client of [a, b]) await client.up({ loginServer: coord.url, authKey })

  await t.test('they reach each other directly, by address and by name', async () => {
    await everyPairTalks([a, b], 'direct', 20_000)
    const status = await a.status()
    assert.equal(status.Self.DNSName, 'stock-new.home.peerway.internal.')
    const byName = await a.cli('ping', '--c=1', '--until-direct=false', 'stock-old')
    assert.match(byName.stdout, /pong from stock-old/)
  })

  await t.test('the name server in them knows all names', async () => {
    const known = await a.cli('dns', 'query', 'stock-old.home.peerway.internal')
    assert.match(known.stdout, new RegExp((await addressOf(b)).replaceAll('.', '\\.')))
  })

  await t.test('they know whose nodes they are', async () => {
    const whois = await a.cli('whois', '--json', await addressOf(b))
    assert.match(whois.stdout, /"LoginName": ?"anna"/)
  })

  await t.test('neither complains', async () => {
    for (const client of [a, b]) await untilHealthy(client)
  })

  await t.test('with UDP blocked they talk over our DERP, and come back', async () => {
    await lab.blockUdp()
    await everyPairTalks([a, b], 'derp', 40_000)
    await lab.unblockUdp()
    await pingUntil(a, b, 'direct', 60_000)
  })

  await t.test('a restart of the server loses nothing', async () => {
    const before = await nodes(coord)
    await coord.stop()
    coord = await startCoord(lab, lab.coord)
    for (const name of ['stock-new', 'stock-old']) await untilNode(coord, name, 'online', ({ online }) => online)
    const strip = (list: readonly NodeInfo[]) =>
      list.map(({ name, addresses, nodeKey }) => ({ name, addresses, nodeKey }))
    assert.deepEqual(strip(await nodes(coord)), strip(before))
    await everyPairTalks([a, b], 'direct', 20_000)
  })

  await t.test('a restart of a client keeps its address and needs no key', async () => {
    const before = await addressOf(b)
    await b.stop()
    await untilNode(coord, 'stock-old', 'offline', ({ online }) => !online)
    await until(async () => (await a.peer('stock-old'))?.Online === false, {
      timeoutMs: 10_000,
      what: 'its peer to hear that it is offline',
    })
    const again = await startTailscaled(lab, lab.client(1), { version: 'old', hostname: 'stock-old' })
    await untilNode(coord, 'stock-old', 'online', ({ online }) => online)
    assert.equal(await addressOf(again), before)
    await pingUntil(again, a, 'direct', 20_000)
    // The one that restarted speaks first: its peer may hold on to the old WireGuard session for 15 s.
    assert.ok(await again.machine.ns.canPing(await addressOf(a), 5))
    await everyPairTalks([a, again], 'direct', 20_000)
  })
})

test('stock clients are refused what they may not have, and told why', options, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'open', clients: 2 }] })
  t.after(() => lab.close())
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')
  const once = await coord.createAuthKey('anna')
  const a = await startTailscaled(lab, lab.client(0, 0), { version: 'new', hostname: 'stock-new' })
  const b = await startTailscaled(lab, lab.client(0, 1), { version: 'old', hostname: 'stock-old' })

  const refused = async (client: Tailscaled, authKey: string, reason: RegExp) => {
    await assert.rejects(client.up({ loginServer: coord.url, authKey, timeoutSeconds: 10 }), (error: Error) => {
      assert.match(error.message, reason)
      return true
    })
  }

  await t.test('a key that is no key', () => refused(a, 'pwkey-auth-none', /invalid auth key/))
  // The client may still be trying the former key, and tells of that refusal once more; what counts is where it ends.
  await until(
    async () => {
      try {
        await a.up({ loginServer: coord.url, authKey: once })
        return true
      } catch (error) {
        assert.match(String(error), /invalid auth key/)
        return false
      }
    },
    { timeoutMs: 30_000, everyMs: 1_000, what: 'the right key to be taken' },
  )
  await t.test('a key for one use, a second time', () => refused(b, once, /already used/))
  await t.test('the first use still counts after the client restarted with the key', async () => {
    await a.up({ loginServer: coord.url, authKey: once })
    assert.equal((await nodes(coord)).length, 1)
  })

  await t.test('a key past its time', async () => {
    const made = await coord.cli('auth-keys', 'create', '--user', 'anna', '--expiry', '1s', '--json')
    const { key } = JSON.parse(made) as { key: string }
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    await refused(b, key, /expired/)
  })

  await t.test('a key that was revoked', async () => {
    const made = await coord.cli('auth-keys', 'create', '--user', 'anna', '--json')
    const { key, id } = JSON.parse(made) as { key: string; id: string }
    await coord.cli('auth-keys', 'revoke', id)
    await refused(b, key, /revoked/)
  })

  await t.test('an administrator expires the node: it must log in again, and keeps its address then', async () => {
    const before = await node(coord, 'stock-new')
    await coord.cli('nodes', 'expire', 'stock-new')
    await until(async () => (await a.status()).BackendState === 'NeedsLogin', {
      timeoutMs: 15_000,
      what: 'the client to learn that its key has expired',
    })
    const another = await coord.createAuthKey('anna')
    await a.up({ loginServer: coord.url, authKey: another, more: ['--force-reauth'] })
    const after = await node(coord, 'stock-new')
    assert.deepEqual(after.addresses, before.addresses)
    assert.notEqual(after.nodeKey, before.nodeKey)
    assert.equal(after.expired, false)
  })

  await t.test('a logout ends the node key, and peers and DERP hear of it', async () => {
    const logout = await a.cli('logout')
    assert.equal(logout.status, 0, logout.stderr)
    await untilNode(coord, 'stock-new', 'expired', ({ expired }) => expired)
  })
})

test('a stock client joins through the login page, and an ephemeral one leaves no trace', options, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'open', clients: 2 }] })
  t.after(() => lab.close())
  const coord = await startCoord(lab, lab.coord)
  await coord.createUser('anna')

  await t.test('the login waits until somebody approves it', async () => {
    const a = await startTailscaled(lab, lab.client(0, 0), { version: 'new', hostname: 'stock-new' })
    const { url, up } = await a.startLogin(coord.url)
    assert.ok(url.startsWith(`${coord.url}/login/`), url)
    await coord.cli('nodes', 'approve', '--login', url, '--user', 'anna')
    assert.equal(await up.exited, 0, up.output)
    assert.equal((await a.status()).BackendState, 'Running')
    assert.equal((await node(coord, 'stock-new')).user, 'anna')
  })

  await t.test('an ephemeral node is gone at once after its logout', async () => {
    const key = await coord.createAuthKey('anna', { ephemeral: true })
    const b = await startTailscaled(lab, lab.client(0, 1), { version: 'old', hostname: 'stock-old' })
    await b.up({ loginServer: coord.url, authKey: key })
    await node(coord, 'stock-old')
    await b.cli('logout')
    await until(async () => (await nodes(coord)).every(({ name }) => name !== 'stock-old'), {
      timeoutMs: 10_000,
      what: 'the node to be gone',
    })
  })
})

test('a stock client joins over HTTPS, whose certificate only the key request has to trust', options, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'open' }] })
  t.after(() => lab.close())
  const coord = await startCoord(lab, lab.coord, ['--url', `https://${lab.coord.address}:8480`])
  const authKey = await coord.createAuthKey('anna')
  const client = await startTailscaled(lab, lab.client(0), {
    version: 'new',
    hostname: 'stock-new',
    env: { SSL_CERT_FILE: join(coord.stateDir, 'derp', 'derp-tls.pem') },
  })
  await client.up({ loginServer: coord.url, authKey })
  await untilNode(coord, 'stock-new', 'at home on our DERP', ({ homeDerp }) => homeDerp === 900)
})
