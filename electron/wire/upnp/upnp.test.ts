import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fromUtf8, utf8 } from '../../base/bytes.ts'
import { WireError } from '../codec.ts'
import { readUpnpDescription } from './description.ts'
import { readSoapAnswer, soapCall, UPNP_FAULT } from './soap.ts'
import { isGatewayDevice, readSsdpAnswer, SSDP_TARGETS, ssdpSearch } from './ssdp.ts'
import { child, childText, escapeXml, MOST_XML_BYTES, readXml, type XmlElement } from './xml.ts'

// Captured from miniupnpd 2.3.1, shortened to one of its services.
const ANSWER = [
  'HTTP/1.1 200 OK',
  'CACHE-CONTROL: max-age=120',
  'ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1',
  'USN: uuid:5f0c0f1e-6d1b-4a8e-9f0a-000000000000::urn:schemas-upnp-org:device:InternetGatewayDevice:1',
  'EXT:',
  'SERVER: Debian/6.18 UPnP/1.1 MiniUPnPd/2.3.1',
  'LOCATION: http://192.168.11.1:49152/rootDesc.xml',
  'BOOTID.UPNP.ORG: 1795572696',
  '',
  '',
].join('\r\n')
const service = (type: string, url: string): string =>
  `<service><serviceType>urn:schemas-upnp-org:service:${type}</serviceType><serviceId>x</serviceId><SCPDURL>/a.xml</SCPDURL>` +
  `<controlURL>${url}</controlURL><eventSubURL>/evt</eventSubURL></service>`
const description = (...services: readonly string[]): Uint8Array =>
  utf8(
    `<?xml version="1.0"?>\r\n<root xmlns="urn:schemas-upnp-org:device-1-0" configId="1337"><specVersion><major>1</major><minor>1</minor></specVersion>` +
      `<device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:2</deviceType><friendlyName>Debian router</friendlyName>` +
      `<manufacturer>Debian</manufacturer><modelName>Debian router</modelName><serviceList>${service('Layer3Forwarding:1', '/ctl/L3F')}</serviceList>` +
      `<deviceList><device><deviceType>urn:schemas-upnp-org:device:WANDevice:2</deviceType><deviceList><device>` +
      `<serviceList>${services.join('')}</serviceList></device></deviceList></device></deviceList></device></root>`,
  )

/** Plain objects, as readers make them. */
const record = <T>(members: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(members, { noNullPrototype: true })

test('a search names its target and asks for an answer within a second', () => {
  for (const target of SSDP_TARGETS)
    assert.equal(
      fromUtf8(ssdpSearch(target)),
      `M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nST: ${target}\r\nMAN: "ssdp:discover"\r\nMX: 1\r\n\r\n`,
    )
})

test('an answer to a search tells what answers and where it is described', () => {
  const answer = readSsdpAnswer(utf8(ANSWER))
  assert.equal(answer.location, 'http://192.168.11.1:49152/rootDesc.xml')
  assert.equal(answer.server, 'Debian/6.18 UPnP/1.1 MiniUPnPd/2.3.1')
  assert.ok(isGatewayDevice(answer))
  assert.ok(!isGatewayDevice(readSsdpAnswer(utf8(ANSWER.replace(':InternetGatewayDevice:', ':MediaServer:')))))
})

test('what is no answer to a search is refused', () => {
  for (const text of ['', ANSWER.replace('200', '404'), ANSWER.replace('LOCATION', 'X'), 'NOTIFY * HTTP/1.1\r\n\r\n'])
    assert.throws(() => readSsdpAnswer(utf8(text)), WireError)
  assert.throws(() => readSsdpAnswer(utf8(ANSWER + 'x'.repeat(5_000))), { code: 'wire/too-long' })
})

test('the services that map ports are found at any depth, the better ones first', () => {
  const found = readUpnpDescription(
    description(
      service('WANPPPConnection:1', '/ppp'),
      service('WANIPConnection:1', '/one'),
      service('WANCommonInterfaceConfig:1', '/common'),
      service('WANIPConnection:2', '/two?a=1&amp;b=2'),
    ),
  )
  assert.equal(found.friendlyName, 'Debian router')
  assert.deepEqual(
    found.services.map(({ type, controlUrl }) => [type.split(':').slice(-2).join(':'), controlUrl]),
    [
      ['WANIPConnection:2', '/two?a=1&b=2'],
      ['WANIPConnection:1', '/one'],
      ['WANPPPConnection:1', '/ppp'],
    ],
  )
  assert.deepEqual(readUpnpDescription(description()).services, [])
})

test('a router with a thousand uplinks gets eight tried', () => {
  const many = Array.from({ length: 300 }, (_, index) => service('WANIPConnection:1', `/${index}`))
  assert.equal(readUpnpDescription(description(...many)).services.length, 8)
})

test('an action goes out with its arguments in order and escaped', () => {
  const { soapAction, body } = soapCall('urn:schemas-upnp-org:service:WANIPConnection:1', 'AddPortMapping', {
    NewRemoteHost: '',
    NewExternalPort: 41_641,
    NewPortMappingDescription: 'a<b&"c"',
  })
  assert.equal(soapAction, '"urn:schemas-upnp-org:service:WANIPConnection:1#AddPortMapping"')
  const envelope = readXml(body)
  const call = envelope.children[0]?.children[0]
  assert.equal(call?.name, 'AddPortMapping')
  assert.deepEqual(
    call.children.map(({ name, text }) => [name, text]),
    [
      ['NewRemoteHost', ''],
      ['NewExternalPort', '41641'],
      ['NewPortMappingDescription', 'a<b&"c"'],
    ],
  )
})

const envelope = (body: string): Uint8Array =>
  utf8(
    `<?xml version="1.0"?>\r\n<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>${body}</s:Body></s:Envelope>\r\n`,
  )

test('responses and faults are told apart', () => {
  const done = readSoapAnswer(
    envelope(
      '<u:GetExternalIPAddressResponse xmlns:u="urn:schemas-upnp-org:service:WANIPConnection:2"><NewExternalIPAddress>20.77.1.1</NewExternalIPAddress></u:GetExternalIPAddressResponse>',
    ),
    'GetExternalIPAddress',
  )
  assert.deepEqual(done, { kind: 'done', values: new Map([['NewExternalIPAddress', '20.77.1.1']]) })
  const fault = readSoapAnswer(
    envelope(
      '<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail><UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>718</errorCode><errorDescription>ConflictInMappingEntry</errorDescription></UPnPError></detail></s:Fault>',
    ),
    'AddPortMapping',
  )
  assert.deepEqual(fault, { kind: 'fault', code: UPNP_FAULT.conflict, text: 'ConflictInMappingEntry' })
  const plain = readSoapAnswer(envelope('<s:Fault><faultcode>x</faultcode></s:Fault>'), 'AddPortMapping')
  assert.equal(plain.kind === 'fault' && plain.code, UPNP_FAULT.actionFailed)
  assert.throws(() => readSoapAnswer(envelope('<html/>'), 'AddPortMapping'), WireError)
})

test('entities cannot expand, nor fetch', () => {
  const bomb = `<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><root>&b;</root>`
  const outside = `<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><root>&x;</root>`
  for (const text of [bomb, outside]) assert.throws(() => readXml(utf8(text)), { code: 'wire/bad-value' })
  assert.equal(readXml(utf8('<root>&x; &amp; &#65;&#x42;</root>')).text, '&x; & AB')
})

test('too much of anything ends the reading', () => {
  assert.throws(() => readXml(new Uint8Array(MOST_XML_BYTES + 1)), { code: 'wire/too-long' })
  assert.throws(() => readXml(utf8('<a>'.repeat(100))), { code: 'wire/too-long' })
  assert.throws(() => readXml(utf8(`<r>${'<a/>'.repeat(10_000)}</r>`)), { code: 'wire/too-long' })
  const began = performance.now()
  for (const filler of ['<', '&', '<!--', '<a ', '&amp;', '&#', '<![CDATA[', '<r><!-- -->']) {
    const text = filler.repeat(Math.floor(MOST_XML_BYTES / filler.length))
    try {
      readXml(utf8(text))
    } catch (error) {
      assert.ok(error instanceof WireError)
    }
  }
  assert.ok(performance.now() - began < 2_000, 'work stays in proportion to the input')
})

const names = fc.stringMatching(/^[A-Za-z][A-Za-z0-9]{0,8}$/)
const texts = fc.string({ maxLength: 20 }).map((text) => text.trim())

test('elements and text are read back as written', () => {
  const trees = (depth: number): fc.Arbitrary<XmlElement> =>
    record({
      name: names,
      children: depth === 0 ? fc.constant([]) : fc.array(trees(depth - 1), { maxLength: 3 }),
      text: texts,
    })
  const write = (element: XmlElement): string =>
    `<${element.name}>${escapeXml(element.text)}${element.children.map(write).join('')}</${element.name}>`
  fc.assert(
    fc.property(trees(4), (element) => {
      assert.deepEqual(readXml(utf8(`<?xml version="1.0"?><!-- - -->${write(element)}`)), element)
    }),
  )
})

test('children are found by name, CDATA and comments read as XML has them', () => {
  const root = readXml(utf8('<a:r>1<!-- <x> --><b:c><![CDATA[<2>&amp;]]></b:c>3<d/></a:r>'))
  assert.equal(root.name, 'r')
  assert.equal(root.text, '13')
  assert.equal(childText(root, 'c'), '<2>&amp;')
  assert.deepEqual(child(root, 'd'), { name: 'd', children: [], text: '' })
})

test('no input fails but with a wire code', () => {
  const pieces = fc.constantFrom('<a>', '</a>', '<', '>', '&amp;', '&', '<!--', '-->', '<![CDATA[', ']]>', '<?', '?>')
  const input = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.array(fc.oneof(pieces, fc.string()), { maxLength: 20 }).map((parts) => utf8(parts.join(''))),
    fc.array(fc.string(), { maxLength: 9 }).map((lines) => utf8(['HTTP/1.1 200 OK', ...lines].join('\r\n'))),
  )
  fc.assert(
    fc.property(input, (bytes) => {
      for (const read of [readXml, readUpnpDescription, readSsdpAnswer])
        try {
          read(bytes)
        } catch (error) {
          assert.ok(error instanceof WireError, String(error))
        }
    }),
  )
})
