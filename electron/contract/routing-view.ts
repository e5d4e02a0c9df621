// Which networks this machine uses and offers, as it is set.

import type { NodeId } from './snapshot.ts'

export interface RoutingView {
  readonly acceptRoutes: boolean
  readonly acceptDns: boolean
  /** Through which machine everything goes that is not in the network; undefined for none. */
  readonly exitNode: NodeId | undefined
  readonly exitNodeAllowLan: boolean
  readonly advertiseRoutes: readonly string[]
  readonly advertiseExitNode: boolean
}
