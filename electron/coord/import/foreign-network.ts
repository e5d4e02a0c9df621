// A network that another server ran, as far as it can be carried over.

import type { IpAddress } from '../../base/endpoint.ts'
import type { MachinePublic, NodePublic } from '../../crypto/keys.ts'
import type { Role } from '../model.ts'

export interface ForeignUser {
  readonly foreignId: number
  readonly name: string
  readonly displayName: string
  readonly email: string | undefined
  /** Where the other server has roles too. */
  readonly role?: Role | undefined
}

export interface ForeignNode {
  /** The first label of its name in DNS. */
  readonly name: string
  readonly hostname: string
  /** The name of its user. */
  readonly user: string
  /** A client keeps it when it moves to another server: by it the node is known again. */
  readonly machineKey: MachinePublic
  readonly nodeKey: NodePublic
  readonly addressV4: IpAddress | undefined
  readonly addressV6: IpAddress | undefined
  readonly tags: readonly string[]
  readonly routes: readonly string[]
  readonly expiresAtMs: number | undefined
}

export interface ForeignNetwork {
  readonly users: readonly ForeignUser[]
  readonly nodes: readonly ForeignNode[]
  /** Rows that could not be taken, in words. */
  readonly unread: readonly string[]
  /** HuJSON. */
  readonly policy: string | undefined
}
