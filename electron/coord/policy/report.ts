// A compiled policy as data for people and programs: what `policy compile` prints. The names are public interface.

import { sshRule } from '../../wire/tailcfg/ssh-policy.ts'
import type { CompiledPolicy } from './compile.ts'
import { wireRule } from './node-filter.ts'
import type { TopologyFile } from './topology-file.ts'

export interface NodeReport {
  /** In wire form. */
  readonly packetFilter: readonly unknown[]
  readonly capabilities: readonly string[]
  /** In wire form. */
  readonly sshRules: readonly unknown[]
  /** Names of the nodes it sees, and that see it. */
  readonly peers: readonly string[]
  /** Announced routes that the policy approves by itself. */
  readonly autoApprovedRoutes: readonly string[]
}

export function reportPolicy(compiled: CompiledPolicy, topology: TopologyFile): Readonly<Record<string, NodeReport>> {
  return Object.fromEntries(
    topology.nodes.map(({ key }) => [
      key,
      {
        packetFilter: compiled.filter(key).map(wireRule),
        capabilities: compiled.capabilities(key),
        sshRules: compiled.sshRules(key).map((rule) => sshRule.write(rule)),
        peers: compiled.peersOf(key).sort(),
        autoApprovedRoutes: (topology.announced.get(key) ?? []).filter((route) => compiled.approves(key, route)),
      },
    ]),
  )
}
