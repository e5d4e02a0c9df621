// The path doctor, cause by cause: each network here has one trouble, and every machine in it names that one, at once and for as
// long as it lasts. docs/lab.md lists where each cause is made; those that need a machine to fall ill are in the other two files.

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { DoctorCause } from '../../electron/contract/doctor.ts'
import { DERP_PORT, holds, names, startNetwork } from './doctor.ts'
import { leaveOnlyV4, leaveOnlyV6, putBehind, showOneAddress, showPublic } from './doctor-routers.ts'
import { stockUnavailable } from '../stock/binaries.ts'
import { startTailscaled } from '../stock/tailscaled.ts'
import { createLab, type Lab, type LabOptions, type Machine } from './lab.ts'
import { addressOf, pingUntil, type MeshNode } from './mesh-node.ts'
import { labUnavailable, runOrSkip } from './netns.ts'
import { peerwayUnavailable, type PeerwayAgent, type PeerwayCoord } from './peerway.ts'
import { portMappingUnavailable, startPortMapping } from './port-mapping.ts'
import { turnRelayOn } from './relay.ts'

const COORD_PORT = 8_480
/** Longer than a search, a look at the network and the forgetting of what was heard. */
const HOLD_MS = 45_000

interface Scene {
  readonly lab: Lab
  readonly coord: PeerwayCoord
  readonly agents: Readonly<Record<string, PeerwayAgent>>
}

/** What one machine says of another; and what it may have said before, when something changes on the way. */
type Word = readonly [from: string, about: string, cause: DoctorCause | null, before?: DoctorCause | null]

interface Case {
  readonly says: string
  readonly lab: LabOptions
  /** Before any machine is there. */
  readonly make?: (lab: Lab) => Promise<unknown>
  readonly machines: (lab: Lab) => Readonly<Record<string, Machine>>
  /** When all are. */
  readonly after?: (scene: Scene, t: TestContext) => Promise<unknown>
  readonly words: readonly Word[]
}

const homes = (lab: Lab): Record<string, Machine> => ({ home: lab.client(0), cabin: lab.client(1) })

const agentOf = ({ agents }: Scene, name: string): PeerwayAgent => {
  const agent = agents[name]
  assert.ok(agent, name)
  return agent
}

/** No UDP between two sites, whichever way; everything else passes. */
async function cut(lab: Lab, site: number, other: string): Promise<void> {
  for (const way of ['saddr', 'daddr']) await lab.site(site).router.addRule(`ip ${way} ${other} meta l4proto udp drop`)
}

/** Only the first may speak to the second; answers are free. */
async function allowOneWay({ lab, coord }: Scene, from: MeshNode, to: MeshNode): Promise<void> {
  const file = join(lab.dir, 'policy.hujson')
  const [src, dst] = [await addressOf(from), await addressOf(to)]
  writeFileSync(file, JSON.stringify({ grants: [{ src: [src], dst: [dst], ip: ['*'] }] }))
  await coord.cli('policy', 'set', file)
}

/** The router says that it mapped a port, and its own firewall lets nothing in by it. */
async function lie(lab: Lab, site: number, isHard: boolean): Promise<void> {
  const { externalAddress } = await startPortMapping(lab, site)
  await showOneAddress(lab.site(site).router, externalAddress, isHard)
  await lab.site(site).router.addRule('ct status dnat meta l4proto udp drop')
}

const SHARED = '100.127.0'
const BORROWED = '20.99.0'
const PRIVATE = '192.168.200'

const cases: readonly Case[] = [
  {
    says: 'a carrier between the router and the world, in the range that carriers share',
    lab: { sites: [{ nat: 'easy' }, { nat: 'easy' }, { nat: 'hard' }] },
    make: async (lab) => {
      await putBehind(lab, [0], 'hard', SHARED)
      await startPortMapping(lab, 0, { external: 'own' })
    },
    machines: (lab) => ({ ...homes(lab), phone: lab.client(2) }),
    words: [
      ['home', 'cabin', 'double-nat'],
      ['home', 'phone', 'double-nat'],
      ['cabin', 'home', 'hard-there'],
      ['phone', 'home', 'both-hard'],
      ['phone', 'cabin', 'hard-here'],
    ],
  },
  {
    says: 'a router behind the box of a provider',
    lab: { sites: [{ nat: 'easy' }, { nat: 'easy' }] },
    make: async (lab) => {
      await putBehind(lab, [0], 'hard', PRIVATE)
      await startPortMapping(lab, 0, { external: 'own' })
    },
    machines: homes,
    words: [
      ['home', 'cabin', 'double-nat'],
      ['cabin', 'home', 'hard-there'],
    ],
  },
  {
    says: 'a carrier that gives its customers addresses of somebody else',
    lab: { sites: [{ nat: 'easy' }, { nat: 'hard' }] },
    make: async (lab) => {
      const carrier = await putBehind(lab, [0], 'hard', BORROWED)
      await showPublic(lab, 0, carrier, '20.77.2.1')
      await startPortMapping(lab, 0, { external: 'own' })
    },
    machines: homes,
    words: [
      ['home', 'cabin', 'double-nat'],
      ['cabin', 'home', 'both-hard'],
    ],
  },
  {
    says: 'two houses behind one carrier, which share an address',
    lab: { sites: [{ nat: 'easy' }, { nat: 'easy' }] },
    make: async (lab) => {
      await putBehind(lab, [0, 1], 'hard', SHARED)
      for (const site of [0, 1]) await startPortMapping(lab, site, { external: 'own' })
    },
    machines: homes,
    words: [
      ['home', 'cabin', 'double-nat'],
      ['cabin', 'home', 'double-nat'],
    ],
  },
  {
    says: 'two easy routers in a row, which are as one',
    lab: { sites: [{ nat: 'easy' }, { nat: 'easy' }, { nat: 'hard' }] },
    make: (lab) => putBehind(lab, [0], 'easy', PRIVATE),
    machines: (lab) => ({ ...homes(lab), phone: lab.client(2) }),
    words: [
      ['home', 'cabin', null],
      ['home', 'phone', 'hard-there'],
      ['phone', 'home', 'hard-here'],
    ],
  },
  {
    says: 'a hard router that maps a port and lets nothing in by it',
    lab: { sites: [{ nat: 'hard' }, { nat: 'easy' }, { nat: 'hard' }] },
    make: (lab) => lie(lab, 0, true),
    machines: (lab) => ({ ...homes(lab), phone: lab.client(2) }),
    words: [
      ['home', 'cabin', 'mapping-broken'],
      ['cabin', 'home', 'mapping-broken'],
      ['home', 'phone', 'mapping-broken'],
      ['phone', 'home', 'mapping-broken'],
      ['phone', 'cabin', 'hard-here'],
    ],
  },
  {
    says: 'an easy router that maps a port and lets nothing in by it',
    lab: { sites: [{ nat: 'easy' }, { nat: 'easy' }, { nat: 'hard' }] },
    make: (lab) => lie(lab, 0, false),
    machines: (lab) => ({ ...homes(lab), phone: lab.client(2) }),
    words: [
      ['home', 'cabin', null],
      ['home', 'phone', 'mapping-broken'],
      ['phone', 'home', 'mapping-broken'],
    ],
  },
  {
    says: 'a router that lost the port that it mapped',
    lab: { sites: [{ nat: 'hard' }, { nat: 'hard' }] },
    make: async (lab) => {
      const { externalAddress } = await startPortMapping(lab, 0, { upnp: false })
      await showOneAddress(lab.site(0).router, externalAddress, true)
    },
    machines: homes,
    after: async (scene) => {
      await pingUntil(agentOf(scene, 'home'), agentOf(scene, 'cabin'), 'direct', 30_000)
      const { ns } = scene.lab.site(0).router
      await ns.nft('flush chain inet mapping mapped_in\nflush chain inet mapping mapped')
      await ns.run(['conntrack', '-F'])
    },
    words: [
      ['home', 'cabin', 'mapping-broken', null],
      ['cabin', 'home', 'mapping-broken', null],
    ],
  },
  {
    says: 'IPv4 alone here, IPv6 alone there',
    lab: { sites: [{ nat: 'easy' }, { nat: 'easy' }, { nat: 'easy' }], ipv6: true },
    make: async (lab) => {
      await leaveOnlyV4(lab.client(0))
      await leaveOnlyV6(lab, lab.client(1), [COORD_PORT, DERP_PORT])
    },
    machines: (lab) => ({ ...homes(lab), nas: lab.client(2) }),
    words: [
      ['home', 'cabin', 'no-common-family'],
      ['cabin', 'home', 'no-common-family'],
      ['nas', 'home', null],
      ['nas', 'cabin', null],
    ],
  },
  {
    says: 'UDP blocked at both ends, and not for others',
    lab: { sites: [{ nat: 'blk' }, { nat: 'blk' }, { nat: 'easy' }] },
    machines: (lab) => ({ ...homes(lab), nas: lab.client(2) }),
    words: [
      ['home', 'cabin', 'udp-blocked-here'],
      ['cabin', 'home', 'udp-blocked-here'],
      ['nas', 'home', 'udp-blocked-there'],
    ],
  },
  {
    says: 'a firewall on the machine itself that knows no answers from there',
    lab: { sites: [{ nat: 'easy' }, { nat: 'easy' }, { nat: 'hard' }] },
    make: (lab) =>
      lab.client(1).ns.nft(`table inet host {
  chain in {
    type filter hook input priority 0
    ip saddr != ${lab.coord.address}/31 udp dport 41641 drop
  }
}
`),
    machines: (lab) => ({ ...homes(lab), phone: lab.client(2) }),
    words: [
      ['home', 'cabin', 'firewall-suspected'],
      ['cabin', 'home', 'firewall-suspected'],
      ['phone', 'home', 'hard-here'],
    ],
  },
  {
    says: 'a policy that lets one machine speak to the other and not back',
    lab: { sites: [{ nat: 'easy' }, { nat: 'easy' }] },
    machines: homes,
    after: (scene) => allowOneWay(scene, agentOf(scene, 'home'), agentOf(scene, 'cabin')),
    words: [
      ['home', 'cabin', null],
      ['cabin', 'home', 'access-denied', null],
    ],
  },
  {
    says: 'a direct path that loses half of all packets, with a relay at hand',
    lab: { sites: [{ nat: 'easy' }, { nat: 'easy' }, { nat: 'open' }] },
    machines: (lab) => ({ ...homes(lab), box: lab.client(2) }),
    after: async (scene) => {
      const [home, cabin] = [agentOf(scene, 'home'), agentOf(scene, 'cabin')]
      await turnRelayOn(agentOf(scene, 'box'), 40_000)
      await pingUntil(home, cabin, 'direct', 30_000)
      for (const way of ['saddr', 'daddr'])
        await scene.lab
          .site(0)
          .router.addRule(
            `ip ${way} ${scene.lab.site(1).router.wanAddress} meta l4proto udp numgen random mod 2 < 1 drop`,
          )
    },
    words: [
      ['home', 'cabin', 'direct-poor', null],
      ['cabin', 'home', 'direct-poor', null],
    ],
  },
  {
    says: 'a relay that cannot be asked',
    lab: { sites: [{ nat: 'hard' }, { nat: 'hard' }, { nat: 'open' }] },
    make: async (lab) => {
      for (const site of [0, 1]) await cut(lab, 2, lab.site(site).router.wanAddress)
    },
    machines: (lab) => ({ ...homes(lab), box: lab.client(2) }),
    after: async (scene) => {
      await turnRelayOn(agentOf(scene, 'box'), 40_000)
      await scene.lab.site(2).router.addRule(`tcp dport ${DERP_PORT} drop`)
    },
    words: [['home', 'cabin', 'relay-fails', 'both-hard']],
  },
  {
    says: 'a relay that only one end reaches',
    lab: { sites: [{ nat: 'hard' }, { nat: 'hard' }, { nat: 'open' }] },
    make: (lab) => cut(lab, 2, lab.site(1).router.wanAddress),
    machines: (lab) => ({ ...homes(lab), box: lab.client(2) }),
    after: (scene) => turnRelayOn(agentOf(scene, 'box'), 40_000),
    words: [
      ['home', 'cabin', 'relay-fails', 'both-hard'],
      ['cabin', 'home', 'relay-fails', 'both-hard'],
      ['home', 'box', null],
    ],
  },
]

const options = process.env['PEERWAY_LONG']
  ? runOrSkip(labUnavailable() ?? peerwayUnavailable() ?? portMappingUnavailable(), 300_000)
  : { skip: 'each takes a minute or two: PEERWAY_LONG=1' }

for (const { says, lab: sites, make, machines, after, words } of cases)
  test(`the doctor and ${says}`, options, async (t) => {
    const lab = await createLab(sites)
    t.after(() => lab.close())
    await make?.(lab)
    const { coord, join: joinAs } = await startNetwork(t, lab)
    const agents: Record<string, PeerwayAgent> = {}
    for (const [name, machine] of Object.entries(machines(lab))) agents[name] = await joinAs(machine, name)
    const scene: Scene = { lab, coord, agents }
    await after?.(scene, t)
    for (const [from, about] of words) {
      const address = await addressOf(agentOf(scene, about))
      agentOf(scene, from).machine.ns.start(['ping', '-n', '-i', '0.5', address], { name: `ping-${from}-${about}` })
    }
    for (const [from, about, cause, before] of words) await names(agentOf(scene, from), about, cause, before)
    await holds(
      words.map(([from, about]) => [agentOf(scene, from), about] as const),
      HOLD_MS,
    )
  })

const stock = process.env['PEERWAY_LONG']
  ? runOrSkip(labUnavailable() ?? peerwayUnavailable() ?? stockUnavailable('tailscale-new'), 300_000)
  : options

test('the doctor and a policy that a stock client keeps', stock, async (t) => {
  const lab = await createLab({ sites: [{ nat: 'easy' }, { nat: 'easy' }] })
  t.after(() => lab.close())
  const { coord, join: joinAs } = await startNetwork(t, lab)
  const home = await joinAs(lab.client(0), 'home')
  const client = await startTailscaled(lab, lab.client(1), { version: 'new', hostname: 'stock' })
  await client.up({ loginServer: coord.url, authKey: await coord.createAuthKey('anna') })
  await names(home, 'stock', null)
  await allowOneWay({ lab, coord, agents: {} }, client, home)
  // It tells of TCP only.
  const address = await addressOf(client)
  const knock = `while :; do timeout 1 bash -c '</dev/tcp/${address}/22'; sleep 1; done`
  home.machine.ns.start(['bash', '-c', knock], { name: 'knock' })
  await names(home, 'stock', 'access-denied', null)
  await holds([[home, 'stock']], HOLD_MS)
})
