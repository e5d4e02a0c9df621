// What of a foreign network can be carried over into a tailnet, and under which names and addresses. Pure; carrying it out
// is import-admin.ts.

import { type IpAddress, isTailnetAddress, isV6 } from '../../base/endpoint.ts'
import { addressesAt, type AddressPair, allot, FIRST_OFFSET, offsetOf } from '../addresses.ts'
import { freeLabel, sanitiseLabel } from '../names.ts'
import type { ForeignNetwork, ForeignNode, ForeignUser } from './foreign-network.ts'

const TAG = /^tag:[a-z][a-z0-9-]{0,62}$/
const USER_NAME = /^[\p{L}\p{N}][\p{L}\p{N}._@+-]{0,63}$/u

/** What is in the tailnet already. */
export interface Taken {
  readonly users: ReadonlySet<string>
  /** Machine keys as text. */
  readonly machines: ReadonlySet<string>
  readonly names: ReadonlySet<string>
  readonly addresses: ReadonlySet<IpAddress>
}

export interface PlannedUser {
  readonly from: ForeignUser
  readonly name: string
}

export interface PlannedNode {
  readonly from: ForeignNode
  readonly user: string
  readonly name: string
  readonly address: AddressPair
  readonly tags: readonly string[]
}

export interface ImportPlan {
  readonly users: readonly PlannedUser[]
  readonly nodes: readonly PlannedNode[]
  readonly policy: string | undefined
  /** What could not be carried over as it was, one sentence each. */
  readonly remarks: readonly string[]
}

export function planImport(network: ForeignNetwork, taken: Taken): ImportPlan {
  const remarks = [...network.unread]
  const names = new Map<string, string>()
  const users: PlannedUser[] = []
  const taking = new Set(taken.users)
  for (const from of network.users) {
    const name = userName(from.name)
    names.set(from.name, name)
    if (taking.has(name.toLowerCase())) {
      remarks.push(`User ${from.name}: there is ${name} already, who gets the machines.`)
      continue
    }
    if (name !== from.name) remarks.push(`User ${from.name} is called ${name} here.`)
    taking.add(name.toLowerCase())
    users.push({ from, name })
  }

  const labels = new Set(taken.names)
  const addresses = new Set(taken.addresses)
  const machines = new Set(taken.machines)
  const nodes: PlannedNode[] = []
  let next = FIRST_OFFSET
  // First those that can keep their address, so that nobody else is given it.
  const byKeeping = [...network.nodes].toSorted(
    (a, b) => Number(keepable(b) !== undefined) - Number(keepable(a) !== undefined),
  )
  for (const from of byKeeping) {
    const shown = from.name || from.hostname || 'a machine'
    if (machines.has(from.machineKey.text)) {
      remarks.push(`${shown}: this machine is in the network already.`)
      continue
    }
    machines.add(from.machineKey.text)
    const isTaken = ({ v4, v6 }: AddressPair): boolean => addresses.has(v4) || addresses.has(v6)
    const kept = keepable(from)
    let address = kept && !isTaken(kept) ? kept : undefined
    if (!address) {
      const allotted = allot(next, isTaken)
      if (!allotted) {
        remarks.push(`${shown}: no address is left.`)
        continue
      }
      next = allotted.next
      address = { v4: allotted.v4, v6: allotted.v6 }
      remarks.push(`${shown}: gets ${address.v4} in place of ${from.addressV4 ?? 'none'}.`)
    } else if (from.addressV6 !== undefined && from.addressV6 !== address.v6)
      remarks.push(`${shown}: keeps ${address.v4}, and gets ${address.v6} in place of ${from.addressV6}.`)
    addresses.add(address.v4)
    addresses.add(address.v6)
    const wanted = sanitiseLabel(from.name || from.hostname)
    const name = freeLabel(wanted, (label) => labels.has(label))
    if (name !== from.name && from.name !== '') remarks.push(`${shown}: is called ${name} here.`)
    labels.add(name)
    const tags = from.tags.filter((tag) => TAG.test(tag))
    if (tags.length < from.tags.length) remarks.push(`${shown}: not all of its tags are tags here.`)
    nodes.push({ from, user: names.get(from.user) ?? from.user, name, address, tags })
  }
  return { users, nodes, policy: network.policy, remarks }
}

/** The addresses it has, where a node of ours may have them. */
function keepable({ addressV4, addressV6 }: ForeignNode): AddressPair | undefined {
  const offset = addressV4 === undefined ? undefined : offsetOf(addressV4)
  const own = offset === undefined ? undefined : addressesAt(offset)
  if (!own) return undefined
  const isOurs = addressV6 !== undefined && isV6(addressV6) && isTailnetAddress(addressV6)
  return { v4: own.v4, v6: isOurs ? addressV6 : own.v6 }
}

function userName(name: string): string {
  if (USER_NAME.test(name)) return name
  const plain = name.replaceAll(/[^\p{L}\p{N}._@+-]+/gu, '-').replaceAll(/^[^\p{L}\p{N}]+|-+$/gu, '')
  return plain.slice(0, 60) || 'user'
}
