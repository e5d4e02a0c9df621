// POST /machine/map. Reference: tailscale tailcfg/tailcfg.go, types MapRequest, EndpointType; control.md §5.1, §5.2.

import { hostinfo } from './hostinfo.ts'
import { always, type In, list, omit, optional, type Out, struct } from './schema.ts'
import { bool, bytes, discoKey, int, nodeKey, text, time } from './scalars.ts'

/** How an endpoint was found, by its number on the wire. */
export const endpointType = {
  unknown: 0,
  local: 1,
  stun: 2,
  portMapped: 3,
  /** The address STUN saw with our own fixed port. */
  stunLocalPort: 4,
  explicit: 5,
} as const

export const mapRequest = struct({
  version: always('Version', int),
  /** "zstd" or "". */
  compress: always('Compress', text),
  keepAlive: always('KeepAlive', bool),
  nodeKey: always('NodeKey', nodeKey),
  discoKey: always('DiscoKey', discoKey),
  hardwareAttestationKey: omit('HardwareAttestationKey', text),
  hardwareAttestationKeySignature: omit('HardwareAttestationKeySignature', bytes),
  hardwareAttestationKeySignatureTimestampMs: optional('HardwareAttestationKeySignatureTimestamp', time),
  /** True = the long poll; from version 68 on it stores nothing. */
  stream: always('Stream', bool),
  hostinfo: optional('Hostinfo', hostinfo),
  mapSessionHandle: omit('MapSessionHandle', text),
  mapSessionSeq: omit('MapSessionSeq', int),
  /** Texts as sent: the server judges which it takes. */
  endpoints: omit('Endpoints', list(text)),
  /** Parallel to `endpoints`. */
  endpointTypes: omit('EndpointTypes', list(int)),
  tkaHead: omit('TKAHead', text),
  readOnly: omit('ReadOnly', bool),
  omitPeers: omit('OmitPeers', bool),
  debugFlags: omit('DebugFlags', list(text)),
  connectionHandleForTest: omit('ConnectionHandleForTest', text),
})
export interface MapRequest extends Out<typeof mapRequest> {}
export type MapRequestInput = In<typeof mapRequest>
