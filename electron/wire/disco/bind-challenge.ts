// Challenge is the relay's reply to Bind: proves, once echoed, that the client receives at the address it sends from.
// Geneve control packet. Layout in bind-fields.ts. Reference: tailscale disco/disco.go, BindUDPRelayEndpointChallenge.

import type { Codec } from '../codec.ts'
import { bindFields, type BindFields } from './bind-fields.ts'

export type BindChallenge = BindFields

export const bindChallenge: Codec<BindChallenge> = bindFields(0x05)
