// Which networks a machine uses and offers, as a person changes it. What is left out stays.

import { type Check, listOf, optional, shape, text, yesNo } from './check.ts'

export interface RoutingWish {
  /** Reach networks behind other machines through them. */
  readonly acceptRoutes?: boolean | undefined
  /** Find names of the network. */
  readonly acceptDns?: boolean | undefined
  /** Networks that others may reach through this machine. */
  readonly advertiseRoutes?: readonly string[] | undefined
  readonly advertiseExitNode?: boolean | undefined
  /** Tags to ask the server for. */
  readonly advertiseTags?: readonly string[] | undefined
  /** Name, address or id of the machine through which everything goes; empty for none. */
  readonly exitNode?: string | undefined
  readonly exitNodeAllowLan?: boolean | undefined
  /** Let nobody open connections to this machine. */
  readonly shieldsUp?: boolean | undefined
}

const MOST_ROUTES = 256
const MOST_TAGS = 32

export const routingWish: Check<RoutingWish> = shape({
  acceptRoutes: optional(yesNo),
  acceptDns: optional(yesNo),
  advertiseRoutes: optional(listOf(text(64), MOST_ROUTES)),
  advertiseExitNode: optional(yesNo),
  advertiseTags: optional(listOf(text(70), MOST_TAGS)),
  exitNode: optional(text(253, 0)),
  exitNodeAllowLan: optional(yesNo),
  shieldsUp: optional(yesNo),
})
