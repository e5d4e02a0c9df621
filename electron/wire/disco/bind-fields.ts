// The body that the three messages of the relay handshake share. They are equally long, so that a forged small packet
// never draws a larger answer.
//
//   offset  bytes  field
//        0      4  vni         must equal the VNI in the Geneve header in front
//        4      4  generation  not 0, new for each attempt of a client
//        8     32  remoteKey   disco key of the other client of this relay endpoint, not of the receiver
//       40     32  challenge   zeros in Bind; a MAC in Challenge; the same in Answer
//
// Reference: tailscale disco/disco.go, type BindUDPRelayEndpointCommon.

import { DiscoPublic, KEY_BYTES } from '../../crypto/keys.ts'
import type { Codec } from '../codec.ts'

export const CHALLENGE_BYTES = 32

export interface BindFields {
  readonly vni: number
  readonly generation: number
  readonly remoteKey: DiscoPublic
  readonly challenge: Uint8Array
}

export const bindFields = (tag: number): Codec<BindFields> => ({
  tag,
  size: () => 8 + KEY_BYTES + CHALLENGE_BYTES,
  write(m, to) {
    to.u32(m.vni)
    to.u32(m.generation)
    to.bytes(m.remoteKey.bytes)
    to.bytes(m.challenge.subarray(0, CHALLENGE_BYTES))
  },
  read: (from) => ({
    vni: from.u32(),
    generation: from.u32(),
    remoteKey: new DiscoPublic(from.bytes(KEY_BYTES)),
    challenge: from.bytes(CHALLENGE_BYTES),
  }),
})
