// Answer echoes the relay's challenge; with it the client's source address is bound.
// Geneve control packet. Layout in bind-fields.ts. Reference: tailscale disco/disco.go, type BindUDPRelayEndpointAnswer.

import type { Codec } from '../codec.ts'
import { bindFields, type BindFields } from './bind-fields.ts'

export type BindAnswer = BindFields

export const bindAnswer: Codec<BindAnswer> = bindFields(0x06)
