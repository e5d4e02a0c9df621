// Programs that are given a proxy reach machines of the network through it, by the names that the network has for them.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLab } from './lab.ts'
import { addressOf } from './mesh-node.ts'
import { labUnavailable, runOrSkip } from './netns.ts'
import { peerwayUnavailable, startAgent, startCoord } from './peerway.ts'

const SOCKS = '127.0.0.1:1080'
const HTTP = '127.0.0.1:8118'
const PORT = 8_000

test(
  'a proxy of the agent leads into the network',
  runOrSkip(labUnavailable() ?? peerwayUnavailable(), 60_000),
  async (t) => {
    const lab = await createLab({ sites: [{ nat: 'easy' }, { nat: 'easy' }] })
    t.after(() => lab.close())
    const coord = await startCoord(lab, lab.coord)
    await coord.createUser('anna')
    const near = await startAgent(lab, lab.client(0), {
      hostname: 'near',
      more: ['--socks5', SOCKS, '--http-proxy', HTTP],
    })
    const far = await startAgent(lab, lab.client(1), { hostname: 'far' })
    for (const node of [near, far])
      await node.up({
        loginServer: coord.url,
        authKey: await coord.createAuthKey('anna'),
        more: ['--accept-dns=false'],
      })
    const address = await addressOf(far)
    const code = `require('http').createServer((q, a) => a.end('far says ' + q.headers.host)).listen(${PORT}, '${address}', () => console.log('listening'))`
    const web = far.machine.ns.start([process.execPath, '-e', code], { name: 'far-web' })
    await web.waitForOutput(/listening/)
    const curl = (...args: string[]) => near.machine.ns.tryRun(['curl', '-s', '--max-time', '15', ...args])
    for (const through of [
      ['-x', `socks5h://${SOCKS}`],
      ['-x', `http://${HTTP}`],
      ['-p', '-x', `http://${HTTP}`],
    ])
      for (const host of ['far', address]) {
        const { status, stdout } = await curl(...through, `http://${host}:${PORT}/`)
        assert.deepEqual(
          [status, stdout],
          [0, `far says ${host}:${PORT}`],
          `${through.join(' ')} ${host}\n${near.log()}`,
        )
      }
    const outside = await curl('-x', `http://${HTTP}`, `http://${lab.coord.address}:8480/`)
    assert.match(outside.stdout, /is not in this network/)
    await near.stop()
  },
)
