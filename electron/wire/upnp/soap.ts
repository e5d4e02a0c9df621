// SOAP as UPnP control uses it: one action in the body of a POST, one response or one fault back. Reference: UPnP Device
// Architecture 2.0, section 3; UPnP WANIPConnection:2, sections 2.4 and 2.5.

import { utf8 } from '../../base/bytes.ts'
import { WireError } from '../codec.ts'
import { childText, descendant, escapeXml, readXml } from './xml.ts'

/** Faults that change what is asked for next. */
export const UPNP_FAULT = {
  invalidAction: 401,
  invalidArgs: 402,
  actionFailed: 501,
  notAuthorized: 606,
  noSuchEntry: 714,
  /** Another machine has this external port. */
  conflict: 718,
  samePortValuesRequired: 724,
  onlyPermanentLeases: 725,
} as const

export type UpnpAction =
  | 'AddAnyPortMapping'
  | 'AddPortMapping'
  | 'DeletePortMapping'
  | 'GetExternalIPAddress'
  | 'GetSpecificPortMappingEntry'
  | 'GetStatusInfo'

export interface SoapCall {
  /** The value of the SOAPAction header. */
  readonly soapAction: string
  readonly body: Uint8Array
}

/** Arguments go out in the order given: devices are known that want the order of the standard. */
export function soapCall(
  serviceType: string,
  action: UpnpAction,
  args: Readonly<Record<string, string | number>> = {},
): SoapCall {
  const inner = Object.entries(args).map(([name, value]) => `<${name}>${escapeXml(String(value))}</${name}>`)
  const body =
    '<?xml version="1.0"?>\r\n' +
    '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">' +
    `<s:Body><u:${action} xmlns:u="${escapeXml(serviceType)}">${inner.join('')}</u:${action}></s:Body></s:Envelope>\r\n`
  return { soapAction: `"${serviceType}#${action}"`, body: utf8(body) }
}

export type SoapAnswer =
  | { readonly kind: 'done'; readonly values: ReadonlyMap<string, string> }
  | { readonly kind: 'fault'; readonly code: number; readonly text: string }

/** Throws WireError when this is neither the action's response nor a fault. */
export function readSoapAnswer(bytes: Uint8Array, action: UpnpAction): SoapAnswer {
  const root = readXml(bytes)
  const response = descendant(root, `${action}Response`)
  if (response) return { kind: 'done', values: new Map(response.children.map(({ name, text }) => [name, text])) }
  const fault = descendant(root, 'Fault')
  if (!fault) throw new WireError('wire/bad-value', `No answer to ${action}.`)
  const error = descendant(fault, 'UPnPError')
  const code = Number(error ? childText(error, 'errorCode') : '')
  return {
    kind: 'fault',
    code: Number.isInteger(code) && code > 0 ? code : UPNP_FAULT.actionFailed,
    text: error ? childText(error, 'errorDescription').slice(0, 80) : '',
  }
}
