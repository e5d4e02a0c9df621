// POST /machine/register, and the two small requests outside Noise. Reference: tailscale tailcfg/tailcfg.go, types
// RegisterRequest, RegisterResponse, OverTLSPublicKeyResponse; tailcfg/derpmap.go, DERPAdmitClient*; control.md §2.1, §3.4, §4.

import { hostinfo } from './hostinfo.ts'
import { always, type In, omit, optional, type Out, struct } from './schema.ts'
import { bool, bytes, int, machineKey, nodeKey, text, time } from './scalars.ts'
import { login, user } from './user.ts'

export const registerAuth = struct({ authKey: omit('AuthKey', text) })

export const registerRequest = struct({
  version: always('Version', int),
  nodeKey: always('NodeKey', nodeKey),
  /** The key before the last rotation, however long ago; zero when there was none. */
  oldNodeKey: always('OldNodeKey', nodeKey),
  /** "nlpub:…"; only stored by servers that know tailnet lock. */
  nlKey: always('NLKey', text),
  auth: optional('Auth', registerAuth),
  /** Undefined = no wish; in the past = log out. */
  expiryMs: always('Expiry', time),
  /** The AuthURL of an earlier answer: hold this request until that login has ended. */
  followup: always('Followup', text),
  hostinfo: optional('Hostinfo', hostinfo),
  ephemeral: omit('Ephemeral', bool),
  nodeKeySignature: always('NodeKeySignature', bytes),
  signatureType: omit('SignatureType', text),
  timestampMs: optional('Timestamp', time),
  deviceCert: omit('DeviceCert', bytes),
  signature: omit('Signature', bytes),
  tailnet: omit('Tailnet', text),
})
export interface RegisterRequest extends Out<typeof registerRequest> {}
export type RegisterRequestInput = In<typeof registerRequest>

export const registerResponse = struct({
  user: always('User', user),
  login: always('Login', login),
  /** The node key must be replaced. */
  nodeKeyExpired: always('NodeKeyExpired', bool),
  machineAuthorized: always('MachineAuthorized', bool),
  /** Not empty: the login is pending, at this page. */
  authUrl: always('AuthURL', text),
  nodeKeySignature: always('NodeKeySignature', bytes),
  /** Not empty: refused, and nothing else counts. */
  error: always('Error', text),
})
export interface RegisterResponse extends Out<typeof registerResponse> {}
export type RegisterResponseInput = In<typeof registerResponse>

/** GET /key */
export const keyResponse = struct({
  legacyPublicKey: always('legacyPublicKey', machineKey),
  publicKey: always('publicKey', machineKey),
})

/** POST /verify, asked by a DERP server about each client. */
export const derpAdmitRequest = struct({
  nodePublic: always('NodePublic', nodeKey),
  source: always('Source', text),
})
export const derpAdmitResponse = struct({ allow: always('Allow', bool) })
