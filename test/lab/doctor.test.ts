// The path doctor names what is really the matter, and nothing else: each cause is made here by routers and firewalls.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DoctorCause } from '../../electron/contract/doctor.ts'
import { createLab, type Lab } from './lab.ts'
import { labUnavailable, runOrSkip } from './netns.ts'
import { peerwayUnavailable, startAgent, startCoord, type PeerwayAgent } from './peerway.ts'
import { until } from './process.ts'

const options = runOrSkip(labUnavailable() ?? peerwayUnavailable(), 240_000)

/** What one end learns of the other travels over the server; what only trying shows takes fifteen seconds. */
const DIAGNOSIS_MS = 60_000

interface Told {
  readonly cause: DoctorCause | null
  readonly text?: string
  readonly nextStep?: string
}

async function ask(agent: PeerwayAgent, about: string): Promise<Told> {
  const result = await agent.cli('doctor', about, '--json')
  if (result.status !== 0) throw new Error(`${agent.hostname}: doctor ${about}: ${result.stderr}`)
  return JSON.parse(result.stdout) as Told
}

/** Until the doctor says so; `null` for a direct path. Open answers may come before, a wrong cause may not. */
async function names(agent: PeerwayAgent, about: string, cause: DoctorCause | null): Promise<Told> {
  const open: readonly (string | null)[] = ['unknown', 'idle', 'looking', cause]
  let last: Told | undefined
  return until(
    async () => {
      last = await ask(agent, about)
      assert.ok(open.includes(last.cause), `${agent.hostname} says of ${about}: ${JSON.stringify(last)}`)
      return last.cause === cause ? last : undefined
    },
    {
      timeoutMs: DIAGNOSIS_MS,
      what: `${agent.hostname} to name ${cause ?? 'nothing'} for ${about}`,
      explain: () => `last: ${JSON.stringify(last)}\n${agent.log().slice(-3_000)}`,
    },
  )
}

/** A network whose server answers STUN at two addresses, and a way to bring machines into it. */
async function startNetwork(
  lab: Lab,
): Promise<(site: number, index: number, hostname: string) => Promise<PeerwayAgent>> {
  const { address, secondAddress } = lab.coord
  const coord = await startCoord(lab, lab.coord, ['--stun', `${address}:3478,${secondAddress}:3478`])
  await coord.createUser('anna')
  const authKey = await coord.createAuthKey('anna', { reusable: true })
  return async (site, index, hostname) => {
    const agent = await startAgent(lab, lab.client(site, index), { hostname })
    await agent.up({ loginServer: coord.url, authKey })
    return agent
  }
}

test('the doctor names the router, the blocked UDP and the machine that is off', options, async (t) => {
  const lab = await createLab({
    sites: [{ nat: 'hard' }, { nat: 'hard' }, { nat: 'blk' }, { nat: 'easy' }, { nat: 'easy' }],
  })
  t.after(() => lab.close())
  const join = await startNetwork(lab)
  const phone = await join(0, 0, 'phone')
  const tablet = await join(1, 0, 'tablet')
  const office = await join(2, 0, 'office')
  const home = await join(3, 0, 'home')
  await join(4, 0, 'cabin')

  await t.test('two hard routers', async () => {
    const told = await names(phone, 'tablet', 'both-hard')
    assert.match(told.text ?? '', /tablet/)
    await names(tablet, 'phone', 'both-hard')
  })
  await t.test('a hard router at one end', async () => {
    await names(phone, 'home', 'hard-here')
    await names(home, 'phone', 'hard-there')
  })
  await t.test('UDP blocked here, and there', async () => {
    await names(office, 'home', 'udp-blocked-here')
    await names(home, 'office', 'udp-blocked-there')
    await names(phone, 'office', 'udp-blocked-there')
  })
  await t.test('nothing to say of a direct path', async () => {
    await names(home, 'cabin', null)
  })
  await t.test('a firewall between two ends that could', async () => {
    const { router } = lab.site(4)
    await router.addRule(`ip saddr ${lab.site(3).router.wanAddress} meta l4proto udp drop`)
    await router.addRule(`ip daddr ${lab.site(3).router.wanAddress} meta l4proto udp drop`)
    await names(home, 'cabin', 'firewall-suspected')
    await router.clearRules()
    await names(home, 'cabin', null)
  })
  await t.test('a machine that is off', async () => {
    await tablet.stop()
    await names(phone, 'tablet', 'peer-offline')
  })
  await t.test('the list names each machine that is not direct once', async () => {
    const result = await phone.cli('doctor', '--json')
    const causes = (JSON.parse(result.stdout) as (Told & { readonly name: string })[]).map(({ name, cause }) => [
      name,
      cause,
    ])
    assert.equal(new Set(causes.map(([name]) => name)).size, 4)
    assert.deepEqual(Object.fromEntries(causes)['tablet'], 'peer-offline')
    assert.match(
      (await phone.cli('status')).stdout,
      /home .*DERP own.*The router here uses a new port for each destination/,
    )
  })
})
