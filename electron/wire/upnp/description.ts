// The description of a UPnP device: an XML tree of devices, each with services. Reference: UPnP Device Architecture 2.0,
// section 2.3; UPnP InternetGatewayDevice:1 and :2.

import { childText, descendant, readXml, type XmlElement } from './xml.ts'

/** Services that map ports, the better first. All but the first lack AddAnyPortMapping. */
export const MAPPING_SERVICES = [
  'urn:schemas-upnp-org:service:WANIPConnection:2',
  'urn:schemas-upnp-org:service:WANIPConnection:1',
  'urn:schemas-upnp-org:service:WANPPPConnection:1',
] as const
export type MappingServiceType = (typeof MAPPING_SERVICES)[number]

/** A router has one such service for each of its uplinks. */
const MOST_SERVICES = 8

export interface UpnpService {
  readonly type: MappingServiceType
  /** As written: a path, or a whole URL whose host is not to be believed. */
  readonly controlUrl: string
}

export interface UpnpDescription {
  readonly friendlyName: string
  readonly manufacturer: string
  readonly modelName: string
  readonly urlBase: string
  readonly services: readonly UpnpService[]
}

/** Throws WireError. */
export function readUpnpDescription(bytes: Uint8Array): UpnpDescription {
  const root = readXml(bytes)
  const device = descendant(root, 'device')
  const services = mappingServices(root)
  return {
    friendlyName: device ? shortText(device, 'friendlyName') : '',
    manufacturer: device ? shortText(device, 'manufacturer') : '',
    modelName: device ? shortText(device, 'modelName') : '',
    urlBase: childText(root, 'URLBase'),
    services: services
      .toSorted((a, b) => MAPPING_SERVICES.indexOf(a.type) - MAPPING_SERVICES.indexOf(b.type))
      .slice(0, MOST_SERVICES),
  }
}

function mappingServices(element: XmlElement): UpnpService[] {
  if (element.name === 'service') {
    const type = MAPPING_SERVICES.find((one) => one === childText(element, 'serviceType'))
    const controlUrl = childText(element, 'controlURL')
    return type !== undefined && controlUrl !== '' ? [{ type, controlUrl }] : []
  }
  return element.children.flatMap(mappingServices)
}

/** For people to read; a device does not get to fill a screen. */
const shortText = (element: XmlElement, name: string): string => childText(element, name).slice(0, 80)
