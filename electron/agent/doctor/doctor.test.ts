import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VirtualClock } from '../../base/clock.ts'
import type { PathView } from '../../contract/snapshot.ts'
import { applyMapResponse } from '../../control/netmap.ts'
import { NodePrivate } from '../../crypto/keys.ts'
import type { PeerCounters } from '../../dataplane/dataplane.ts'
import { AUTOMATIC } from '../../path/path-policy.ts'
import { NO_PORT_MAPPING, type NetcheckReport } from '../../path/report.ts'
import { NOTHING_KNOWN } from '../../portmap/portmap-io.ts'
import { mapResponse } from '../../wire/tailcfg/map-response.ts'
import type { NodeInput } from '../../wire/tailcfg/node.ts'
import { readMessage } from '../../wire/tailcfg/schema.ts'
import { Doctor, type DoctorSources } from './doctor.ts'
import type { PeerContact } from './facts.ts'

const nodeOf = (id: number, more: NodeInput = {}): NodeInput => ({
  id: String(id),
  stableId: `n${id}`,
  name: `host${id}.tail.example.`,
  user: '1',
  key: NodePrivate.generate().public,
  addresses: [`100.64.0.${id}/32`],
  machineAuthorized: true,
  homeDerp: 1,
  online: true,
  ...more,
})

const DERP_MAP = {
  regions: new Map([[1, { regionId: 1, nodes: [{ name: '1a', regionId: 1, hostName: 'derp.example' }] }]]),
}

const derpPath: PathView = {
  kind: 'derp',
  lan: false,
  via: 'own',
  latencyMs: undefined,
  looking: false,
  idle: false,
  sinceAt: 0,
  reason: 'start',
  reasonText: '',
}

const NO_CONTACT: PeerContact = {
  heardAtMs: undefined,
  askedAtMs: undefined,
  directAnsweredAtMs: undefined,
  rejectedAtMs: undefined,
  gone: undefined,
}

const reportAt = (startedAtMs: number, more: Partial<NetcheckReport> = {}): NetcheckReport => ({
  startedAtMs,
  full: true,
  udp: true,
  ipv4: true,
  ipv6: false,
  ipv4CanSend: true,
  ipv6CanSend: false,
  osHasIpv6: false,
  mappingVariesByDestIp: false,
  regionLatencyMs: new Map(),
  regionV4LatencyMs: new Map(),
  regionV6LatencyMs: new Map(),
  observed: new Map([['198.51.100.1:41641', 2]]),
  preferredDerp: 1,
  portMapping: NO_PORT_MAPPING,
  ...more,
})

interface Lab {
  readonly clock: VirtualClock
  readonly doctor: Doctor
  /** The peer's node key. */
  readonly key: string
  /** What the doctor names after `seconds` more, looking once a second; 'direct' for nothing. */
  after(seconds: number, change?: Partial<DoctorSources>): string
  networkChanged(): Promise<void>
}

async function start(peer: NodeInput = {}): Promise<Lab> {
  const clock = new VirtualClock()
  const doctor = new Doctor(clock, () => Promise.resolve(undefined))
  const peers = [
    nodeOf(2, {
      endpoints: ['203.0.113.9:41641', '192.168.7.4:41641'],
      hostinfo: { netInfo: { workingUdp: true, workingIpv6: false, mappingVariesByDestIp: false } },
      ...peer,
    }),
  ]
  const json: unknown = JSON.parse(JSON.stringify(mapResponse.write({ node: nodeOf(1), peers, derpMap: DERP_MAP })))
  const netmap = applyMapResponse(undefined, readMessage(mapResponse, json), clock.wallNow())
  const key = [...netmap.peers.values()][0]?.key.text ?? ''
  const home = {
    state: 'connected',
    connected: true,
    isHome: true,
    silent: false,
    sinceMs: 0,
    lastFrameMs: 0,
    droppedPackets: 0,
  } as const
  let sources: DoctorSources = {
    netmap,
    paths: new Map([[key, derpPath]]),
    controlConnected: true,
    report: reportAt(clock.now()),
    portMapping: { ...NOTHING_KNOWN, upnp: false, pmp: false, pcp: false },
    derpStatus: [{ ...home, region: 1, errorCode: undefined, errorText: undefined, problem: undefined }],
    interfaces: {},
    counters: () => new Map(),
    relayFailure: () => undefined,
    contact: () => NO_CONTACT,
    check: () => {},
    pathPolicy: () => AUTOMATIC,
    pathFlaws: () => [],
  }
  doctor.look(sources)
  await Promise.resolve()
  return {
    clock,
    doctor,
    key,
    after(seconds, change = {}) {
      sources = { ...sources, ...change }
      doctor.look(sources)
      for (let i = 0; i < seconds; i++) {
        clock.advance(1_000)
        doctor.look(sources)
      }
      return doctor.views.get(key)?.cause ?? 'direct'
    },
    async networkChanged() {
      doctor.networkChanged()
      doctor.look(sources)
      await Promise.resolve()
    },
  }
}

const counted = (lab: Lab, sentAgoMs: number, heardAgoMs: number): ReadonlyMap<string, PeerCounters> =>
  new Map([
    [
      lab.key,
      {
        id: 1,
        rxBytes: 1,
        txBytes: 1,
        lastHandshakeAt: 1,
        lastReceiveMs: lab.clock.now() - heardAgoMs,
        lastSendMs: lab.clock.now() - sentAgoMs,
        askingSinceMs: 0,
      },
    ],
  ])

test('a search is given its time, and begins anew after a direct path', async () => {
  const lab = await start()
  assert.equal(lab.after(10), 'looking')
  assert.equal(lab.after(6), 'firewall-suspected')
  assert.equal(lab.after(1, { paths: new Map([[lab.key, { ...derpPath, kind: 'direct' }]]) }), 'direct')
  assert.equal(lab.after(5, { paths: new Map([[lab.key, derpPath]]) }), 'looking')
  assert.equal(lab.after(60, { paths: new Map([[lab.key, { ...derpPath, idle: true }]]) }), 'idle')
})

test('a peer that answers nothing is asleep; one that answers is not', async () => {
  const lab = await start()
  assert.equal(lab.after(14, { counters: () => counted(lab, 100, 20_000) }), 'looking')
  const heardOnce = lab.clock.now()
  const unanswered = (): ReadonlyMap<string, PeerCounters> => counted(lab, 0, lab.clock.now() - heardOnce + 40_000)
  assert.equal(lab.after(17, { counters: unanswered }), 'peer-asleep')
  assert.equal(lab.after(3, { counters: () => counted(lab, 100, 50) }), 'firewall-suspected')
})

test('a peer that answers no question over DERP is asleep, though nothing is sent to it', async () => {
  const lab = await start()
  const askedAtMs = lab.clock.now()
  const contact = (): PeerContact => ({ ...NO_CONTACT, askedAtMs })
  assert.equal(lab.after(14, { contact }), 'looking')
  assert.equal(lab.after(3, { contact }), 'peer-asleep')
  const heardAtMs = lab.clock.now()
  assert.equal(lab.after(3, { contact: () => ({ ...NO_CONTACT, askedAtMs, heardAtMs }) }), 'firewall-suspected')
})

test('a peer that is online and not at its DERP server has no home, once it must be awake', async () => {
  const lab = await start()
  const atMs = lab.clock.now()
  const contact = (): PeerContact => ({ ...NO_CONTACT, askedAtMs: atMs, gone: { region: 1, atMs } })
  assert.equal(lab.after(59, { contact }), 'unknown')
  assert.equal(lab.after(2, { contact }), 'peer-no-home')
  const heard = { ...NO_CONTACT, heardAtMs: lab.clock.now(), askedAtMs: atMs }
  assert.equal(lab.after(1, { contact: () => heard }), 'firewall-suspected')
})

test('a DERP server is away since it was last heard, however often it is dialled', async () => {
  const lab = await start()
  const none = {
    region: 1,
    droppedPackets: 0,
    problem: undefined,
    isHome: true,
    connected: false,
    silent: false,
  } as const
  const why = { errorCode: 'derp/unreachable', errorText: 'refused' } as const
  const dialled = (): DoctorSources['derpStatus'] => [
    { ...none, ...why, state: 'waiting', sinceMs: lab.clock.now(), lastFrameMs: undefined },
  ]
  let told = ''
  let checks = 0
  const look = (): string => lab.after(1, { derpStatus: dialled(), check: () => checks++ })
  for (let i = 0; i < 12; i++) told = look()
  assert.equal(told, 'unknown', 'it may be this machine that has no network')
  for (let i = 0; i < 50; i++) told = look()
  assert.equal(told, 'derp-unreachable', 'the coordination server is still there')
  assert.ok(checks > 1 && checks <= 4, `${checks} looks at the network`)
  const dark = reportAt(lab.clock.now(), { udp: false, ipv4: false, observed: new Map() })
  assert.equal(lab.after(1, { report: dark, controlConnected: false }), 'offline-here')
})

test('a portal that was found is forgotten once the DERP server has answered', async () => {
  const lab = await start()
  const link = { region: 1, droppedPackets: 0, problem: undefined, isHome: true, silent: false } as const
  const none = { ...link, connected: false, state: 'waiting', errorCode: undefined, errorText: undefined } as const
  const gone = (): DoctorSources['derpStatus'] => [{ ...none, sinceMs: lab.clock.now(), lastFrameMs: undefined }]
  const held = { udp: false, ipv4: false, observed: new Map() }
  lab.after(1, { derpStatus: gone() })
  assert.equal(lab.after(1, { report: reportAt(lab.clock.now(), { ...held, captivePortal: true }) }), 'captive-portal')
  const back = [{ ...none, connected: true, state: 'connected', sinceMs: 0, lastFrameMs: 0 }] as const
  assert.notEqual(lab.after(1, { derpStatus: back }), 'captive-portal')
  assert.notEqual(lab.after(1, { derpStatus: gone() }), 'captive-portal', 'this time it may be anything')
})

test('a router is blamed once it has said whether it opens a port', async () => {
  const lab = await start()
  const hard = reportAt(lab.clock.now(), { mappingVariesByDestIp: true })
  assert.equal(lab.after(12, { report: hard, portMapping: NOTHING_KNOWN }), 'looking')
  assert.equal(lab.after(4), 'hard-here', 'it says nothing')
  const external = '100.70.0.2'
  const refusal = `the router is itself behind another one (its address is ${external})`
  assert.equal(lab.after(1, { portMapping: { ...NOTHING_KNOWN, pmp: true, refusal } }), 'double-nat')
})

test('a direct path that answers beside the one in use is a poor one; one that answered before is gone', async () => {
  const lab = await start()
  const before = lab.clock.now()
  assert.equal(lab.after(1, { contact: () => ({ ...NO_CONTACT, directAnsweredAtMs: before + 500 }) }), 'looking')
  assert.equal(lab.after(4, { contact: () => ({ ...NO_CONTACT, directAnsweredAtMs: before + 4_000 }) }), 'direct-poor')
  assert.equal(lab.after(15), 'firewall-suspected')
})

test('a direct path that answers and is left alone for what it does to data is named, until the pair is direct', async () => {
  const lab = await start()
  assert.equal(lab.after(1, { pathFlaws: () => ['lossy', 'large-lost'] }), 'mtu-black-hole')
  assert.equal(lab.after(1, { pathFlaws: () => ['data-dropped'] }), 'data-dropped')
  assert.equal(lab.after(1, { paths: new Map([[lab.key, { ...derpPath, kind: 'direct' }]]) }), 'direct')
})

test('a look that changes nothing says so, and keeps the same value', async () => {
  const lab = await start({ online: false })
  assert.equal(lab.after(1), 'peer-offline')
  const before = lab.doctor.views.get(lab.key)
  assert.equal(lab.after(30), 'peer-offline')
  assert.equal(lab.doctor.views.get(lab.key), before)
})

test('what was found in the network before is not held against the one after', async () => {
  const lab = await start()
  const hard = reportAt(lab.clock.now(), { mappingVariesByDestIp: true })
  assert.equal(lab.after(7, { report: hard }), 'hard-here')
  lab.clock.advance(1_000)
  await lab.networkChanged()
  assert.equal(lab.after(1), 'looking')
  assert.equal(lab.after(1, { report: reportAt(lab.clock.now(), { mappingVariesByDestIp: true }) }), 'hard-here')
})

test('UDP that stopped everywhere is the server’s matter', async () => {
  const lab = await start()
  assert.equal(lab.after(1), 'looking')
  const none = reportAt(lab.clock.now(), { udp: false, ipv4: false, observed: new Map() })
  assert.equal(lab.after(10, { report: none }), 'looking')
  assert.equal(lab.after(15, {}), 'unknown')
  assert.equal(lab.after(300, {}), 'unknown', 'a peer that sends nothing does not look at its network')
  let rxBytes = 0
  const talks = (): ReadonlyMap<string, PeerCounters> =>
    new Map([...counted(lab, 100, 50)].map(([key, one]) => [key, { ...one, rxBytes: (rxBytes += 100) }]))
  assert.equal(lab.after(30, { counters: talks }), 'unknown')
  assert.equal(lab.after(15, { counters: talks }), 'udp-blocked-here')
})
