import { CodedError } from '../base/errors.ts'
import type { ProxyErrorCode } from '../base/proxy-settings.ts'

export type DerpErrorCode =
  /** The listening port is taken: another program, or a second server of ours. */
  | 'derp/port-in-use'
  /** The system refuses the port: below 1024 without rights, or an address that this machine does not have. */
  | 'derp/cannot-listen'
  /** The certificate file is there but of no use, and cannot be set aside. Whoever runs the server acts. */
  | 'derp/bad-identity'
  /** No node of the region could be reached. Retried. */
  | 'derp/unreachable'
  /** The server's certificate is not the one that the DERP map promises. Retried; the owner of the map acts. */
  | 'derp/wrong-certificate'
  /** The far side answered, but it is no DERP server or speaks nonsense. Retried. */
  | 'derp/protocol'
  /** The server closed right after our login: it does not know this node (yet). Retried. */
  | 'derp/refused'
  /** The far side stopped answering, or took no bytes within the write deadline. Retried. */
  | 'derp/timeout'
  /** The connection ended. Retried. */
  | 'derp/closed'
  /** The region is not in the DERP map, or has no node that relays. */
  | 'derp/no-such-region'
  /** The proxy before the server is in the way. */
  | ProxyErrorCode

export class DerpError extends CodedError<DerpErrorCode> {}
