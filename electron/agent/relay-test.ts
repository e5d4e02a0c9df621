// The relay's self-test. Other machines are asked to knock at the relay's port: a CallMeMaybe makes any of them, also stock
// ones, ping the addresses named in it. What arrives unexpected shows an open port; what arrives only after we have written
// there first shows a router that lets in whom the relay expects. Knocks are not answered, so nobody takes the relay's
// port for a way to this machine.

import type { Clock } from '../base/clock.ts'
import { type Endpoint, isV6, splitEndpoint } from '../base/endpoint.ts'
import { isCoded } from '../base/errors.ts'
import type { RelayPauseReason } from '../contract/relay-view.ts'
import { pauseTexts } from '../contract/relay-words.ts'
import type { RelayTestStep, RelayTestView } from '../contract/relay-test-view.ts'
import type { Problem } from '../contract/snapshot.ts'
import { SharedBox } from '../crypto/box.ts'
import type { DiscoPrivate, NodePublic } from '../crypto/keys.ts'
import { OwnClients } from '../relay/own-clients.ts'
import type { RelayService } from '../relay/relay-service.ts'
import { discoSender, openDisco, sealDisco } from '../wire/disco/envelope.ts'
import type { Node } from '../wire/tailcfg/node.ts'
import { type Knock, measureCapacity } from './relay-capacity.ts'

/** Knocks come within a round trip over DERP and one back. */
const KNOCK_MS = 2_500
const MOST_KNOCKERS = 3

export interface RelayTestParts {
  readonly clock: Clock
  readonly service: RelayService | undefined
  readonly problem: Problem | undefined
  readonly pause: RelayPauseReason | undefined
  readonly discoKey: DiscoPrivate
  readonly self: NodePublic
  /** Live peers of the netmap. */
  readonly peers: readonly Node[]
  readonly mayAsk: (peer: Node) => boolean
  readonly sendOverDerp: (peer: Node, bytes: Uint8Array) => void
  /** Where this node itself is reached: a CallMeMaybe replaces the one before. */
  readonly ownEndpoints: () => readonly Endpoint[]
  /** Hears what comes to the relay's port outside any session. */
  readonly onKnock: (listener: (knock: Knock) => void) => () => void
}

export async function testRelay(parts: RelayTestParts): Promise<RelayTestView> {
  const { service, problem, pause, peers, mayAsk } = parts
  if (!service || pause) {
    const text = pause
      ? pauseTexts[pause]
      : (problem?.message ?? 'This machine does not relay. Turn it on with: peerway set --relay-server-port 0')
    return verdict([{ name: 'relaying', result: 'failed', text }])
  }
  const { ports } = service.status()
  const steps: RelayTestStep[] = [
    { name: 'relaying', result: 'ok', text: `The relay listens on UDP port ${ports.v4}.` },
  ]
  const allowed = peers.filter(mayAsk).length
  steps.push(
    allowed > 0
      ? { name: 'policy', result: 'ok', text: `${allowed} of ${peers.length} machines may be relayed here.` }
      : peers.length === 0
        ? { name: 'policy', result: 'untested', text: 'There is no other machine in the network yet.' }
        : {
            name: 'policy',
            result: 'failed',
            text: "The network's policy lets no machine use this relay. An admin grants it tailscale.com/cap/relay.",
          },
  )
  const known = service.publicEndpoints
  steps.push(
    known.length > 0
      ? { name: 'address', result: 'ok', text: `Others are told to come to ${known.join(', ')}.` }
      : {
          name: 'address',
          result: 'failed',
          text: 'No public address was found: no STUN server answers here. Is UDP blocked? A static endpoint helps.',
        },
  )
  const visitors: Visitor[] = []
  for (const family of ['v4', 'v6'] as const) {
    const { step, visitor } = await reachable(parts, service, family, ports.v4)
    steps.push(step)
    if (visitor) visitors.push(visitor)
  }
  steps.push(...(await forwarding(parts, service, ports.v4)))
  steps.push(await capacity(parts, service, visitors[0]))
  return verdict(steps)
}

const verdict = (steps: readonly RelayTestStep[]): RelayTestView => ({
  steps,
  failing: steps.find(({ result }) => result === 'failed')?.name,
})

const inFamily = (family: 'v4' | 'v6') => (endpoint: Endpoint) =>
  isV6(splitEndpoint(endpoint)?.address ?? '') === (family === 'v6')

async function reachable(
  parts: RelayTestParts,
  service: RelayService,
  family: 'v4' | 'v6',
  port: number,
): Promise<{ readonly step: RelayTestStep; readonly visitor?: Visitor | undefined }> {
  const name = `reachable-${family}` as const
  const of = inFamily(family)
  const targets = service.publicEndpoints.filter(of)
  const words = family === 'v4' ? 'IPv4' : 'IPv6'
  if (targets.length === 0) return { step: { name, result: 'untested', text: `No public ${words} address is known.` } }
  // A machine behind the same router does not come from outside.
  const ours = new Set(targets.map((endpoint) => splitEndpoint(endpoint)?.address))
  const knockers = parts.peers
    .filter(({ online, discoKey, homeDerp, endpoints }) => {
      if (online === false || !discoKey || homeDerp === 0) return false
      const theirs = endpoints.filter(of)
      return theirs.length > 0 && !theirs.some((endpoint) => ours.has(splitEndpoint(endpoint)?.address))
    })
    .slice(0, MOST_KNOCKERS)
  if (knockers.length === 0)
    return {
      step: { name, result: 'untested', text: `No machine outside this network is online over ${words} to knock.` },
    }
  const unexpected = await knock(parts, knockers, targets, family)
  if (unexpected) {
    const text = `${nameOf(unexpected.peer)} reached port ${port} from outside over ${words}.`
    return { step: { name, result: 'ok', text }, visitor: unexpected }
  }
  for (const peer of knockers) service.open(peer.endpoints.filter(of))
  const expected = await knock(parts, knockers, targets, family)
  const remedy = `Turn on UPnP or NAT-PMP at the router, or forward UDP port ${port} to this machine.`
  if (expected) {
    const text =
      `${nameOf(expected.peer)} got in over ${words} once this machine had written to it. That serves machines whose ` +
      `router keeps one port; those whose next port cannot be foreseen need a mapping. ${remedy}`
    return { step: { name, result: 'limited', text }, visitor: expected }
  }
  const varies =
    family === 'v4' && service.mapping === 'varies' ? 'The router gives every destination another port. ' : ''
  const who = knockers.map(nameOf).join(', ')
  const text = `${who} knocked at ${targets.join(', ')} over ${words}, and nothing arrived. ${varies}${remedy}`
  return { step: { name, result: 'failed', text } }
}

/** A machine that got in, and from where. */
interface Visitor {
  readonly peer: Node
  readonly box: SharedBox
  readonly at: Endpoint
}

const nameOf = (node: Node): string => node.name.split('.')[0] ?? node.name

/** Asks these peers to ping the relay's addresses; the first whose ping arrives in this family. */
function knock(
  parts: RelayTestParts,
  peers: readonly Node[],
  targets: readonly Endpoint[],
  family: 'v4' | 'v6',
): Promise<Visitor | undefined> {
  const { clock, discoKey, ownEndpoints, sendOverDerp, onKnock } = parts
  const boxes = new Map(
    peers.flatMap((peer) =>
      peer.discoKey
        ? [[peer.discoKey.text, { peer, box: new SharedBox(discoKey.secretBytes(), peer.discoKey.bytes) }]]
        : [],
    ),
  )
  return new Promise((resolve) => {
    const end = (visitor: Visitor | undefined): void => {
      stop()
      cancel()
      resolve(visitor)
    }
    const cancel = clock.after(KNOCK_MS, () => end(undefined))
    const stop = onKnock(({ from, bytes }) => {
      const known = boxes.get(discoSender(bytes)?.text ?? '')
      if (known && inFamily(family)(from) && isPing(bytes, known.box)) end({ ...known, at: from })
    })
    for (const { peer, box } of boxes.values()) {
      const endpoints = [...targets, ...ownEndpoints()]
      sendOverDerp(peer, sealDisco(discoKey.public, box, { kind: 'callMeMaybe', endpoints }))
    }
  })
}

function isPing(bytes: Uint8Array, box: SharedBox): boolean {
  try {
    return openDisco(bytes, box)?.kind === 'ping'
  } catch (error) {
    if (isCoded(error)) return false
    throw error
  }
}

async function capacity(
  { clock, discoKey, self, onKnock }: RelayTestParts,
  service: RelayService,
  visitor: Visitor | undefined,
): Promise<RelayTestStep> {
  const name = 'capacity'
  const peer = visitor?.peer.discoKey
  if (!visitor || !peer) return { name, result: 'untested', text: 'No machine from outside could take part.' }
  const { box, at } = visitor
  const found = await measureCapacity({
    clock,
    service,
    discoKey: discoKey.public,
    nodeKey: self,
    box,
    peer,
    at,
    onKnock,
  })
  if (!found) return { name, result: 'untested', text: `${nameOf(visitor.peer)} did not answer.` }
  const { bytesPerSecond, isLeast } = found
  const mbit = (bytesPerSecond * 8) / 1e6
  const rate = `${mbit < 10 ? mbit.toFixed(1) : Math.round(mbit)} Mbit/s`
  const text = `${isLeast ? 'At least' : 'About'} ${rate} go from this machine to ${nameOf(visitor.peer)}.`
  return { name, result: 'ok', text, bytesPerSecond: Math.round(bytesPerSecond) }
}

async function forwarding(parts: RelayTestParts, service: RelayService, port: number): Promise<RelayTestStep[]> {
  const clients = new OwnClients()
  const made = service.allocate(parts.self, clients.pair[0], { clientDisco: clients.pair, generation: 1 })
  if ('refused' in made)
    return [{ name: 'handshake', result: 'failed', text: `The relay gives out no place (${made.refused}).` }]
  try {
    const { bound, sent, arrived } = await clients.check(made.relay, port)
    const handshake: RelayTestStep = bound
      ? { name: 'handshake', result: 'ok', text: 'Two clients on this machine bound at the relay.' }
      : { name: 'handshake', result: 'failed', text: 'A client on this machine cannot bind: a local firewall?' }
    if (!bound) return [handshake]
    const text = `${arrived} of ${sent} packets came through the relay on this machine.`
    // A rate cap may hold back some of them for longer than the test waits.
    return [handshake, { name: 'traffic', result: arrived === 0 ? 'failed' : 'ok', text }]
  } finally {
    service.end(made.relay.vni)
  }
}
