// Reads what the hosted service gives out about a network: its policy file, and the lists of devices and users of its API
// (GET /api/v2/tailnet/-/devices?fields=all and …/users).

import { readFileSync, statSync } from 'node:fs'
import { messageOf } from '../../base/errors.ts'
import { canonicalIp, isV6 } from '../../base/endpoint.ts'
import { MachinePublic, NodePublic, randomScalar } from '../../crypto/keys.ts'
import { CoordError } from '../errors.ts'
import { ROLES, type Role } from '../model.ts'
import { carryPolicy } from './carry-policy.ts'
import type { ForeignNetwork, ForeignNode, ForeignUser } from './foreign-network.ts'

const MOST_BYTES = 32 * 1024 * 1024
const MOST_ROWS = 100_000

export interface TailscaleFiles {
  readonly policy: string | undefined
  readonly devices: string | undefined
  readonly users: string | undefined
}

type Row = Readonly<Record<string, unknown>>

/** Throws CoordError for a file that is not there, or is another. */
export function readTailscaleFiles(files: TailscaleFiles): ForeignNetwork {
  return tailscaleNetwork({
    policy: files.policy === undefined ? undefined : textOfFile(files.policy),
    devices: files.devices === undefined ? undefined : rowsOf(files.devices, 'devices'),
    users: files.users === undefined ? undefined : rowsOf(files.users, 'users'),
  })
}

export function tailscaleNetwork(told: {
  readonly policy: string | undefined
  readonly devices: readonly Row[] | undefined
  readonly users: readonly Row[] | undefined
}): ForeignNetwork {
  const remarks: string[] = []
  const people = new People()
  for (const row of told.users ?? []) people.add(row, remarks)
  const devices = told.devices ?? []
  const nodes = devices.flatMap((row) => {
    const node = nodeOf(row, people, remarks)
    return node ? [node] : []
  })
  const users = people.named()
  const owner = users.find(({ role }) => role === 'owner') ?? users[0]
  if (nodes.length > 0 && !owner) remarks.push('No device says whose it is; carry the users over too, with --users.')
  if (nodes.length > 0 && devices.every((row) => row['enabledRoutes'] === undefined))
    remarks.push('The list of devices has no routes. To carry those too, ask for it with ?fields=all.')
  const policy = told.policy === undefined ? undefined : carryPolicy(told.policy)
  return {
    users,
    // A machine that belongs to its tags was set up by somebody, whom the list may not name.
    nodes: nodes.map((node) => ({ ...node, user: people.nameOf(node.user) ?? owner?.name ?? '' })),
    unread: [
      ...remarks,
      ...(policy?.remarks ?? []),
      'DNS settings, shares, services, webhooks and how people sign in are not in these files: set them up here.',
    ],
    policy: policy?.text,
  }
}

/** Names of their own, since there a person is an address. */
class People {
  readonly #rows = new Map<string, { readonly shown: string; readonly role: Role | undefined }>()

  add(row: Row, remarks: string[]): void {
    const login = textOf(row, 'loginName')
    if (login === '') return
    const status = textOf(row, 'status')
    if (status === 'suspended' || textOf(row, 'type') === 'shared') {
      remarks.push(
        `User ${login}: is ${status === 'suspended' ? 'suspended' : 'of another network'}, and is not carried over.`,
      )
      return
    }
    const told = textOf(row, 'role')
    const role = ROLES.find((role) => role === told)
    if (told !== '' && !role) remarks.push(`User ${login}: has the role ${told} there; here an ordinary member.`)
    this.#rows.set(login, { shown: textOf(row, 'displayName'), role })
  }

  mention(login: string): void {
    if (!this.#rows.has(login)) this.#rows.set(login, { shown: '', role: undefined })
  }

  named(): (ForeignUser & { readonly role: Role | undefined })[] {
    return [...this.#rows].map(([login, { shown, role }], i) => ({
      foreignId: i + 1,
      name: this.nameOf(login) ?? login,
      displayName: shown,
      // By it policies name people, whatever kind of address it is.
      email: login,
      role,
    }))
  }

  nameOf(login: string): string | undefined {
    if (!this.#rows.has(login)) return undefined
    const local = localPart(login)
    const isShared = [...this.#rows.keys()].some((other) => other !== login && localPart(other) === local)
    return isShared ? login : local
  }
}

const localPart = (login: string): string => (login.split('@')[0] || login).toLowerCase()

/** With the login of its user in place of the name. */
function nodeOf(row: Row, people: People, remarks: string[]): ForeignNode | undefined {
  const hostname = textOf(row, 'hostname')
  const name = textOf(row, 'name').split('.')[0] ?? ''
  const shown = name || hostname || `device ${textOf(row, 'nodeId') || textOf(row, 'id')}`
  const refusal =
    (row['isExternal'] === true && 'is shared from another network') ||
    (row['authorized'] === false && 'was not let in there') ||
    (row['isEphemeral'] === true && 'is an ephemeral one, which joins anew')
  if (refusal !== false) {
    remarks.push(`${shown}: ${refusal}, and is not carried over.`)
    return undefined
  }
  const user = textOf(row, 'user')
  if (user.includes('@')) people.mention(user)
  const addresses = textsOf(row, 'addresses').flatMap((text) => canonicalIp(text) ?? [])
  const [machineKey, nodeKey] = keysOf(row) ?? []
  if (!machineKey || !nodeKey)
    remarks.push(`${shown}: its keys are not in the list; it is known again by its re-join key only.`)
  if (row['blocksIncomingConnections'] === true)
    remarks.push(`${shown}: takes no connections; that setting is its own, and stays.`)
  return {
    name,
    hostname: hostname || name,
    user,
    machineKey: machineKey ?? new MachinePublic(randomScalar()),
    nodeKey: nodeKey ?? new NodePublic(randomScalar()),
    addressV4: addresses.find((address) => !isV6(address)),
    addressV6: addresses.find((address) => isV6(address)),
    tags: textsOf(row, 'tags'),
    routes: textsOf(row, 'enabledRoutes'),
    expiresAtMs: row['keyExpiryDisabled'] === true ? undefined : timeOf(textOf(row, 'expires')),
  }
}

/** Both, or none: a machine is only itself with the key that it proves. */
function keysOf(row: Row): readonly [MachinePublic, NodePublic] | undefined {
  try {
    return [MachinePublic.parse(textOf(row, 'machineKey')), NodePublic.parse(textOf(row, 'nodeKey'))]
  } catch {
    return undefined
  }
}

function timeOf(text: string): number | undefined {
  const ms = Date.parse(text)
  return Number.isNaN(ms) || ms < Date.UTC(2000) ? undefined : ms
}

function textOf(row: Row, name: string): string {
  const value = row[name]
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : ''
}

function textsOf(row: Row, name: string): string[] {
  const value = row[name]
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []
}

function rowsOf(file: string, name: string): Row[] {
  let value: unknown
  try {
    value = JSON.parse(textOfFile(file))
  } catch (cause) {
    if (cause instanceof CoordError) throw cause
    throw new CoordError('coord/bad-argument', `${file} is not JSON (${messageOf(cause)}).`, { cause })
  }
  const list: unknown = Array.isArray(value) ? value : (value as Row | null)?.[name]
  if (!Array.isArray(list))
    throw new CoordError(
      'coord/bad-argument',
      `${file} has no list of ${name}, as GET /api/v2/tailnet/-/${name} gives.`,
    )
  return list.slice(0, MOST_ROWS).filter((row) => typeof row === 'object' && row !== null)
}

function textOfFile(file: string): string {
  try {
    if (statSync(file).size > MOST_BYTES) throw new CoordError('coord/bad-argument', `${file} is longer than 32 MiB.`)
    return readFileSync(file, 'utf8')
  } catch (cause) {
    if (cause instanceof CoordError) throw cause
    throw new CoordError('coord/not-found', `${file} cannot be read: ${messageOf(cause)}.`, { cause })
  }
}
