// Who may open an SSH session on the node that receives this. Reference: tailscale tailcfg/tailcfg.go, types SSHPolicy,
// SSHRule, SSHAction; control.md §9.8.

import { always, dictionary, type In, list, omit, optional, type Out, struct, textKeys } from './schema.ts'
import { bool, int, raw, text, time } from './scalars.ts'

export const sshAction = struct({
  message: omit('message', text),
  reject: omit('reject', bool),
  accept: omit('accept', bool),
  sessionDurationNs: omit('sessionDuration', int),
  allowAgentForwarding: omit('allowAgentForwarding', bool),
  allowLocalPortForwarding: omit('allowLocalPortForwarding', bool),
  allowRemotePortForwarding: omit('allowRemotePortForwarding', bool),
  holdAndDelegate: omit('holdAndDelegate', text),
  recorders: omit('recorders', list(text)),
  onRecordingFailure: optional('onRecordingFailure', raw),
})

export const sshPrincipal = struct({
  node: omit('node', text),
  nodeIp: omit('nodeIP', text),
  userLogin: omit('userLogin', text),
  any: omit('any', bool),
})

export const sshRule = struct({
  ruleExpiresMs: omit('ruleExpires', time),
  principals: always('principals', list(sshPrincipal)),
  /** Requested user or "*" to local user; "=" = the same name, "" = none. */
  sshUsers: always('sshUsers', dictionary(textKeys, text)),
  action: optional('action', sshAction),
  acceptEnv: omit('acceptEnv', list(text)),
})

export const sshPolicy = struct({ rules: always('rules', list(sshRule)) })
export interface SshPolicy extends Out<typeof sshPolicy> {}
export type SshPolicyInput = In<typeof sshPolicy>
