import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isCoded } from '../../base/errors.ts'
import { derpMap } from '../../wire/tailcfg/derp-map.ts'
import { withOwner } from '../identity/test-site.ts'
import { TestMachine } from '../test-machine.ts'
import { mergedDerpMap, ownDerpMap, ownDerpMapText } from './own-derp-map.ts'
import { readDerpMap } from './read-derp-map.ts'

const PIN = `sha256-raw:${'0a'.repeat(32)}`

const FIELD = `{
  // As the field's documentation writes it.
  "OmitDefaultRegions": true,
  "Regions": {
    "901": {
      "RegionID": 901,
      "RegionCode": "fra",
      "RegionName": "Frankfurt",
      "Nodes": [
        {"Name": "901a", "RegionID": 901, "HostName": "derp.corp.example", "CertName": "${PIN}", "DERPPort": 8443, "STUNPort": -1},
        {"Name": "901b", "HostName": "192.0.2.9", "IPv6": "none", "STUNOnly": true},
      ],
    },
    "1": null,
  },
}`

test('a map as the field writes it is taken, with its pins', () => {
  const { map, omitsEmbedded } = readDerpMap(FIELD)
  assert.equal(omitsEmbedded, true)
  const [first, second] = map.regions?.get(901)?.nodes ?? []
  assert.deepEqual(
    [map.regions?.size, first?.certName, first?.derpPort, first?.stunPort, second?.ipv6, second?.stunOnly],
    [1, PIN, 8_443, -1, 'none', true],
  )
  assert.deepEqual(ownDerpMap.parse(ownDerpMapText({ map, omitsEmbedded })).map, derpMap.read(derpMap.write(map)))
})

test('what is wrong is told with line and column, all of it at once', () => {
  const wrong: readonly (readonly [string, string, RegExp])[] = [
    ['"RegionID": 901,\n', '"RegionID": 902,\n', /line 6, column 19: .*"RegionID" is 901/],
    [`"${PIN}"`, `"${PIN.toUpperCase()}"`, /line 10, column \d+: .*is no name in a certificate/],
    [`"${PIN}"`, '"sha256-raw:abc"', /line 10, .*64 hexadecimal digits/],
    ['"DERPPort": 8443', '"DERPPort": 84430', /line 10, .*from 0 to 65535/],
    ['"STUNPort": -1', '"InsecureForTests": true', /line 10, .*pin its certificate/],
    ['"192.0.2.9"', '"a b"', /line 11, .*is no name of a host/],
    ['"901b"', '"901a"', /line 11, .*two nodes are called/],
    ['"IPv6": "none"', '"IPv6": "192.0.2.1"', /line 11, .*no IPv6 address/],
    ['"STUNOnly": true', '"STUNOnli": true', /line 11, .*no member "STUNOnli"/],
    ['"901": {', '"70000": {', /line 5, column 5: .*no number of a region/],
    ['"fra"', '"f r a"', /line 7, .*letters, digits/],
    ['"Regions"', '"Region"', /line 4, column 3: .*no member "Region"/],
  ]
  for (const [right, by, told] of wrong)
    assert.throws(
      () => readDerpMap(FIELD.replace(right, by)),
      (error) => isCoded(error, 'coord/bad-argument') && told.test(error.message),
      by,
    )
  const two = FIELD.replace('"fra"', '7').replace('"192.0.2.9"', '""')
  assert.throws(() => readDerpMap(two), /line 7, [^]*line 11, /)
})

test('any text is a map or is refused', () => {
  const damage = fc.array(
    fc.tuple(fc.nat(FIELD.length - 1), fc.constantFrom('', '"', '{', ']', 'null', '-', '9e9', ',')),
    { maxLength: 5 },
  )
  fc.assert(
    fc.property(damage, (damages) => {
      let text = FIELD
      for (const [at, by] of damages) text = text.slice(0, at) + by + text.slice(at + 1)
      try {
        const { map } = readDerpMap(text)
        assert.deepEqual(derpMap.read(derpMap.write(map)).regions?.size, map.regions?.size)
      } catch (error) {
        assert.ok(isCoded(error, 'coord/bad-argument'), String(error))
      }
    }),
    { numRuns: 500 },
  )
})

test('regions of one’s own join the embedded one, take its place, or stand alone', () => {
  const region = (id: number, code: string) => ({ regionId: id, regionCode: code, nodes: [] })
  const embedded = { regions: new Map([[900, region(900, 'own')]]) }
  const codes = (own: Parameters<typeof mergedDerpMap>[1]): unknown =>
    [...(mergedDerpMap(embedded, own).regions ?? [])].map(([id, { regionCode }]) => [id, regionCode])
  const map = { regions: new Map([[901, region(901, 'fra')]]) }
  assert.deepEqual(codes({ map, omitsEmbedded: false }), [
    [900, 'own'],
    [901, 'fra'],
  ])
  assert.deepEqual(codes({ map, omitsEmbedded: true }), [[901, 'fra']])
  assert.deepEqual(codes({ map: { regions: new Map([[900, region(900, 'new')]]) }, omitsEmbedded: false }), [
    [900, 'new'],
  ])
})

test('a change reaches a connected machine at once, and can be taken back', async (t) => {
  const { coord, clock } = await withOwner(t)
  const node = { name: '900a', regionId: 900, hostName: '127.0.0.1', derpPort: 1 }
  coord.setDerpMap({
    regions: new Map([[900, { regionId: 900, regionCode: 'own', regionName: 'Home', nodes: [node] }]]),
  })
  const { admin } = coord
  const machine = new TestMachine(`http://127.0.0.1:${coord.port}`, 'one')
  t.after(() => machine.close())
  const { key } = await admin.createAuthKey({})
  assert.equal((await machine.register({ auth: { authKey: key } })).error, '')
  const poll = await machine.poll()
  const told = async (): Promise<unknown> =>
    [...((await poll.until(({ derpMap }) => derpMap?.regions !== undefined)).derpMap?.regions ?? [])].map(([id]) => id)
  const moved = async (change: () => Promise<unknown>): Promise<unknown> => {
    await change()
    clock.advance(1_000)
    return told()
  }
  assert.deepEqual(await told(), [900])
  assert.deepEqual(
    await moved(() => admin.derpMap.addRegion({ code: 'fra', host: 'derp.corp.example', certificate: PIN })),
    [900, 901],
  )
  assert.deepEqual(await moved(() => admin.derpMap.removeRegion(900)), [901])
  await assert.rejects(admin.derpMap.removeRegion(901), (error) => isCoded(error, 'coord/conflict'))
  await assert.rejects(admin.derpMap.set('{"omitDefaultRegions": true}'), (error) => isCoded(error, 'coord/conflict'))
  await assert.rejects(admin.derpMap.addRegion({ code: 'x', host: 'a b' }), /no name of a host/)
  await assert.rejects(admin.derpMap.addRegion({ id: 901, code: 'x', host: 'b' }), (error) =>
    isCoded(error, 'coord/conflict'),
  )
  const { embedded, regions, map } = await admin.derpMap.get()
  assert.deepEqual(
    [
      embedded,
      regions.map(({ id, nodes: [first] }) => [id, first?.host, first?.derpPort, first?.stunPort, first?.certificate]),
    ],
    ['omitted', [[901, 'derp.corp.example', 443, 3_478, PIN]]],
  )
  const again = readDerpMap(JSON.stringify(map))
  assert.equal(again.omitsEmbedded, true, 'what is shown can be set')
  assert.deepEqual(await moved(() => admin.derpMap.set('{}')), [900])
  const rows = (await admin.auditSince(0)).filter(({ action }) => action === 'derp-map.set')
  assert.equal(rows.length, 3)
})
