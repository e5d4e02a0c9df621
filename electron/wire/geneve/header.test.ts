import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fromHex, toHex } from '../../base/bytes.ts'
import { geneveHeader, MAX_VNI, readGeneve, type GeneveHeader } from './header.ts'

// Computed from the layout of net/packet/geneve.go (protocol notes, paths.md §11.2).
const vectors: readonly (readonly [string, GeneveHeader])[] = [
  ['00807a1100000100', { control: true, protocol: 'disco', vni: 1 }],
  ['00007a1101020300', { control: false, protocol: 'disco', vni: 0x010203 }],
  ['00007a12ffffff00', { control: false, protocol: 'wireguard', vni: MAX_VNI }],
]

test('the golden headers are written and read', () => {
  for (const [hex, header] of vectors) {
    assert.equal(toHex(geneveHeader(header)), hex)
    assert.deepEqual(readGeneve(fromHex(hex) ?? new Uint8Array()), header)
  }
})

test('what is written is read back', () => {
  const headers = fc.record(
    {
      control: fc.boolean(),
      protocol: fc.constantFrom('disco' as const, 'wireguard' as const),
      vni: fc.integer({ min: 0, max: MAX_VNI }),
    },
    { noNullPrototype: true },
  )
  fc.assert(fc.property(headers, (header) => assert.deepEqual(readGeneve(geneveHeader(header)), header)))
})

test('a reserved bit, a version, another protocol or a short packet is not taken for Geneve', () => {
  for (const hex of ['40807a1100000100', '00817a1100000100', '00807a1100000101', '00807a1300000100', '00807a11000001'])
    assert.equal(readGeneve(fromHex(hex) ?? new Uint8Array()), undefined, hex)
})

test('no input whatever throws', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 20 }), (bytes) => void readGeneve(bytes)))
})
