import { delay } from '../base/deadline.ts'
import { messageOf } from '../base/errors.ts'
import { UDP_PORT_IN_USE } from '../agent/doctor/words.ts'
import type { AgentClient } from '../agent/client/agent-client.ts'
import type { DoctorView } from '../contract/doctor.ts'
import type { AgentSnapshot, PeerView } from '../contract/snapshot.ts'
import { agentOptionHelp, agentOptions, type Command, DONE, FAILED, print, remark } from './command.ts'
import { findNode, unknownNode } from './status.ts'
import { agentOf } from './talk.ts'

/** With one machine named, a search is begun and waited for: longer than one takes before it counts as failed. */
const SEARCH_MS = 20_000
const LOOK_MS = 1_000

export const doctor: Command = {
  name: 'doctor',
  summary: 'Says for each machine that is not reached directly why, and what to do.',
  usage: ['doctor [NODE] [--json]'],
  help: { json: '--json             one JSON document', ...agentOptionHelp },
  example: 'peerway doctor nas',
  options: { ...agentOptions, json: { type: 'boolean' } },
  positionals: [0, 1],
  async run(call) {
    const agent = agentOf(call)
    const [name] = call.positionals
    const asJson = call.values['json'] === true
    const snapshot = await agent.call('agent.snapshot')
    if (snapshot.state !== 'running') {
      const told = own(snapshot)
      print(asJson ? JSON.stringify(told, undefined, 2) : `${told.text}\n  ${told.nextStep}`)
      return FAILED
    }
    if (name !== undefined) {
      const peer = await examine(agent, snapshot, name)
      print(asJson ? JSON.stringify(entry(peer), undefined, 2) : sentences(peer))
      return DONE
    }
    const peers = Object.values(snapshot.peers).toSorted((a, b) => a.name.localeCompare(b.name))
    if (asJson) {
      print(JSON.stringify(peers.map(entry), undefined, 2))
      return DONE
    }
    const ill = peers.filter((peer) => peer.doctor && peer.doctor.cause !== 'idle')
    // What ails this computer ails the way to all of them: said once.
    for (const [view, names] of alike(ill))
      print(`${names.join(', ')}: ${view.text} [${view.cause}]\n  ${view.nextStep}`)
    const idle = peers.filter((peer) => peer.doctor?.cause === 'idle')
    if (idle.length > 0)
      print(`Not tried lately: ${idle.map((peer) => peer.name).join(', ')}. To have one tried: peerway doctor NODE`)
    if (ill.length === 0 && idle.length === 0)
      print(peers.length === 0 ? 'There is no other machine.' : 'Every machine is reached directly.')
    return DONE
  },
}

/** Keeps asking for a path until it is there, or what hinders it is known. */
async function examine(agent: AgentClient, before: AgentSnapshot, name: string): Promise<PeerView> {
  const endMs = performance.now() + SEARCH_MS
  const find = (snapshot: AgentSnapshot): PeerView => {
    const found = findNode(snapshot, name)
    if (!found || !('path' in found)) throw unknownNode(name)
    return found
  }
  let peer = find(before)
  // Once in any case: with traffic both ends look at their networks again, and at relays.
  for (let tries = 0; performance.now() < endMs && (isOpen(peer.doctor) || (tries === 0 && isThere(peer))); tries++) {
    try {
      await agent.call('agent.ping', { target: peer.addresses[0] ?? peer.dnsName, timeoutMs: 2_000 })
    } catch (error) {
      remark(messageOf(error))
    }
    await delay(LOOK_MS)
    peer = find(await agent.call('agent.snapshot'))
  }
  return peer
}

const isOpen = (view: DoctorView | undefined): boolean =>
  view !== undefined && (view.cause === 'idle' || view.cause === 'looking' || view.cause === 'unknown')

const isThere = ({ online, expired }: PeerView): boolean => online !== false && !expired

/** What keeps the whole machine off. */
function own({ problem, state, loginUrl }: AgentSnapshot): Pick<DoctorView, 'text' | 'nextStep'> & { cause: string } {
  if (problem?.code === 'dataplane/port-in-use') return { cause: 'udp-port-in-use', ...UDP_PORT_IN_USE }
  return {
    cause: problem?.code ?? state,
    text: problem?.message ?? 'Peerway is not connected.',
    nextStep: loginUrl === undefined ? 'Connect with: peerway up' : `Log in at: ${loginUrl}`,
  }
}

function alike(peers: readonly PeerView[]): readonly (readonly [DoctorView, string[]])[] {
  const groups = new Map<string, [DoctorView, string[]]>()
  for (const { name, doctor: view } of peers) {
    if (!view) continue
    const group = groups.get(view.text) ?? [view, []]
    group[1].push(name)
    groups.set(view.text, group)
  }
  return [...groups.values()]
}

function entry({ id, name, path, doctor: view }: PeerView): Record<string, unknown> {
  return { id, name, path: path.kind, cause: view?.cause ?? null, text: view?.text, nextStep: view?.nextStep }
}

function sentences({ name, path, doctor: view }: PeerView): string {
  if (!view) return `${name} is reached directly${path.via === undefined ? '' : ` at ${path.via}`}.`
  return `${name}: ${view.text} [${view.cause}]\n  ${view.nextStep}`
}
