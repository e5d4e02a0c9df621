import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { isCoded } from '../base/errors.ts'
import { Forwarding, forwardingScript, tableName } from './forwarding.ts'
import type { Run } from './run.ts'

const SWITCHES = ['ipv4/ip_forward', 'ipv6/conf/all/forwarding', 'ipv6/conf/eth0/accept_ra', 'ipv6/conf/pw0/accept_ra']

/** Switches in a folder, all of them off but that router advertisements are heeded on eth0. */
function system(
  t: TestContext,
  answer: (args: readonly string[]) => { status: number; text?: string } = () => ({ status: 0 }),
) {
  const sysctl = mkdtempSync(join(tmpdir(), 'peerway-sysctl-'))
  t.after(() => rmSync(sysctl, { recursive: true, force: true }))
  for (const name of SWITCHES) {
    mkdirSync(dirname(join(sysctl, name)), { recursive: true })
    writeFileSync(join(sysctl, name), name.includes('eth0') ? '1' : '0')
  }
  const asked: string[] = []
  const run: Run = (program, args) => {
    asked.push([program, ...args].join(' '))
    const { status, text = '' } = answer(args)
    return Promise.resolve({ status, stdout: text, stderr: text })
  }
  const switches = () => SWITCHES.map((name) => readFileSync(join(sysctl, name), 'utf8'))
  return { forwarding: new Forwarding({ run, sysctl }), asked, switches }
}

test('the kernel is told to forward what is served, and told back', async (t) => {
  const { forwarding, asked, switches } = system(t)
  await forwarding.set('pw0', { routes: ['10.1.0.0/16'], isExit: false })
  assert.deepEqual(switches(), ['1', '0', '1', '0'])
  await forwarding.set('pw0', { routes: ['10.1.0.0/16'], isExit: false })
  assert.deepEqual(asked, ['nft -f -'], 'nothing is done twice')
  await forwarding.set('pw0', { routes: ['10.1.0.0/16'], isExit: true })
  assert.deepEqual(switches(), ['1', '1', '2', '0'], 'advertisements go on being heeded')
  await forwarding.set('pw0', { routes: [], isExit: false })
  assert.deepEqual(switches(), ['0', '0', '1', '0'])
  assert.equal(asked.at(-1), 'nft delete table inet peerway-pw0')
})

test('a system without nft, or without the right, says what to do', async (t) => {
  for (const [status, text, code] of [
    [127, 'nft: not found', 'os/no-tool'],
    [1, 'Operation not permitted (you must be root)', 'os/no-rights'],
    [1, 'Error: syntax error', 'os/refused'],
  ] as const) {
    const { forwarding, switches } = system(t, () => ({ status, text }))
    await assert.rejects(forwarding.set('pw0', { routes: ['10.1.0.0/16'], isExit: false }), (error) =>
      isCoded(error, code),
    )
    assert.equal(switches()[0], '0', 'nothing is forwarded without the rules')
  }
})

test('only tables whose device is gone are swept', async (t) => {
  const text = 'table inet filter\ntable inet peerway-lo\ntable inet peerway-gone7\n'
  const { forwarding, asked } = system(t, () => ({ status: 0, text }))
  await forwarding.sweep()
  assert.deepEqual(asked.slice(1), ['nft delete table inet peerway-gone7'])
})

test('a table is named so that netfilter takes it', () => {
  assert.equal(tableName('peerway0'), 'peerway-peerway0')
  assert.match(tableName('we"ird; name'), /^peerway-[0-9a-f]{12}$/)
})

test('an exit node leads into no private network but those that are served', () => {
  const script = forwardingScript('pw0', { routes: ['10.1.0.0/16'], isExit: true })
  const [served, exit] = [script.indexOf('daddr { 10.1.0.0/16 } jump out'), script.indexOf('192.168.0.0/16')]
  assert.ok(served > 0 && exit > served)
  assert.ok(script.indexOf('127.0.0.0/8') < served)
})
