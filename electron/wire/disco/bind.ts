// Bind opens a client's handshake with a relay: sent once to each of its addresses, with a zero challenge.
// Geneve control packet. Layout in bind-fields.ts. Reference: tailscale disco/disco.go, type BindUDPRelayEndpoint.

import type { Codec } from '../codec.ts'
import { bindFields, type BindFields } from './bind-fields.ts'

export type Bind = BindFields

export const bind: Codec<Bind> = bindFields(0x04)
