import { CodedError, codeOf } from '../base/errors.ts'
import { type ProxyErrorCode, ProxyError } from '../base/proxy-settings.ts'

export type ControlErrorCode =
  /** What was typed is no server address; the user corrects it. */
  | 'control/bad-url'
  /** Nobody answers there now; retry. */
  | 'control/unreachable'
  /** Something answers, but it is no coordination server; the user corrects the address. */
  | 'control/not-a-server'
  /** The certificate does not prove that this is the server; the owner of the server acts. */
  | 'control/tls'
  /** It answers with another key than it announced; retry asks for the key again. */
  | 'control/wrong-key'
  /** The server does not take the request; retrying the same is of little use. */
  | 'control/refused'
  /** The server does not know this machine any more; the user signs in again. */
  | 'control/node-unknown'
  /** Too many attempts, and still after waiting as told; retry later. */
  | 'control/rate-limited'
  /** The server's answer does not make sense; retry, and report when it stays. */
  | 'control/bad-answer'
  | 'control/bad-map'
  /** The connection broke; retry. */
  | 'control/disconnected'
  /** `close` was called. */
  | 'control/closed'
  /** The proxy before the server is in the way. */
  | ProxyErrorCode

export class ControlError extends CodedError<ControlErrorCode> {}

/** A failure of the network while talking to `host` (name and, when it is no usual one, port), for people. */
export function networkError(host: string, cause: unknown): ControlError {
  if (cause instanceof ProxyError) return new ControlError(cause.code, cause.message, { cause })
  const code = codeOf(cause) ?? ''
  if (isCertificateError(code))
    return new ControlError(
      'control/tls',
      `The server at ${host} cannot prove that it is ${host}. ${certificateReason(code)} Ask the owner of the server to renew its certificate, and do not sign in before.`,
      { cause },
    )
  return new ControlError('control/unreachable', `No server answers at ${host}. ${unreachableReason(code)}`, { cause })
}

function unreachableReason(code: string): string {
  switch (code) {
    case 'ENOTFOUND':
      return 'The name does not exist. Check the spelling, or ask the owner for an invite link.'
    case 'EAI_AGAIN':
    case 'ENETUNREACH':
    case 'ENETDOWN':
      return 'This computer seems to be offline. Check its network connection.'
    case 'ECONNREFUSED':
      return 'The machine is there, but no server runs at this port. Check the address, or ask the owner to start the server.'
    case 'EHOSTUNREACH':
      return 'The machine is switched off or not in this network. Check the address, or ask the owner.'
    case 'EPROTO':
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
      return 'It does not speak HTTPS at this port. Check whether the address starts with http:// or https://.'
    default:
      return 'It did not answer in time, or hung up. Check that this computer is online, then try again.'
  }
}

/** Node's names for what OpenSSL and its own name check find wrong. */
function isCertificateError(code: string): boolean {
  return (
    code.startsWith('ERR_TLS_CERT') ||
    code.startsWith('CERT_') ||
    code.startsWith('UNABLE_TO_') ||
    code === 'DEPTH_ZERO_SELF_SIGNED_CERT' ||
    code === 'SELF_SIGNED_CERT_IN_CHAIN'
  )
}

function certificateReason(code: string): string {
  switch (code) {
    case 'CERT_HAS_EXPIRED':
      return 'Its certificate has expired.'
    case 'CERT_NOT_YET_VALID':
      return 'Its certificate is not valid yet, or the clock of this computer is wrong.'
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return 'Its certificate is for another name.'
    default:
      return 'Nobody this computer trusts has signed its certificate.'
  }
}
