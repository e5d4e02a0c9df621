// The compiler against the plainest reading of a policy: for each rule, each pair of nodes and each port, is it named?

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseIpSet } from './ip-set.ts'
import { compileSample, SAMPLE } from './sample.ts'
import type { PolicyNode } from './topology.ts'

interface Rule {
  readonly src: readonly string[]
  readonly dst: readonly string[]
  readonly ports: readonly [first: number, last: number]
  readonly proto: string
}

const PROTOCOLS: Readonly<Record<string, readonly number[]>> = { '': [6, 17, 1, 58], tcp: [6], udp: [17] }
const PROBES = [1, 22, 23, 80, 65_535]

const isOf = (node: PolicyNode, user: string): boolean => node.tags.length === 0 && node.userKey === user
const hasTag = (node: PolicyNode, tag: string): boolean => node.tags.includes(tag)

/** Who goes by a name, said once more and in one line each. */
const NAMES: Readonly<Record<string, (node: PolicyNode) => boolean>> = {
  '*': () => true,
  'anna@': (node) => isOf(node, 'anna'),
  'ben@': (node) => isOf(node, 'ben'),
  'group:all': (node) => isOf(node, 'anna') || isOf(node, 'ben'),
  'group:none': () => false,
  'tag:server': (node) => hasTag(node, 'tag:server'),
  'tag:router': (node) => hasTag(node, 'tag:router'),
  'autogroup:member': (node) => node.tags.length === 0,
  'autogroup:tagged': (node) => node.tags.length > 0,
  '100.64.0.0/29': ({ addresses }) => Number(addresses[0]?.split('.')[3]) < 8,
}

const name = fc.constantFrom(...Object.keys(NAMES))
const rule: fc.Arbitrary<Rule> = fc.record({
  src: fc.array(name, { minLength: 1, maxLength: 3 }),
  dst: fc.array(fc.oneof(name, fc.constant('autogroup:self')), { minLength: 1, maxLength: 3 }),
  ports: fc.constantFrom<Rule['ports']>([22, 22], [80, 80], [1, 23], [0, 65_535]),
  proto: fc.constantFrom('', 'tcp', 'udp'),
})

/** Sources of autogroup:self are people. */
const isValid = ({ src, dst }: Rule): boolean =>
  !dst.includes('autogroup:self') || src.every((one) => /^(\*|.*@|group:.*|autogroup:member)$/.test(one))

const text = ({ src, dst, ports, proto }: Rule): string =>
  JSON.stringify({
    action: 'accept',
    ...(proto !== '' && { proto }),
    src,
    dst: dst.map((one) => `${one}:${ports[0] === 0 ? '*' : ports.join('-')}`),
  })

function isNamed(
  { src, dst, ports, proto }: Rule,
  from: PolicyNode,
  to: PolicyNode,
  port: number,
  protocol: number,
): boolean {
  if (port < ports[0] || port > ports[1] || PROTOCOLS[proto]?.includes(protocol) !== true) return false
  if (!src.some((one) => NAMES[one]?.(from))) return false
  return dst.some((one) =>
    one === 'autogroup:self'
      ? from.tags.length + to.tags.length === 0 && from.userKey === to.userKey
      : NAMES[one]?.(to) === true,
  )
}

test('a node lets in exactly what some rule names, and sees whom it can speak with', () => {
  fc.assert(
    fc.property(fc.array(rule, { maxLength: 5 }), (all) => {
      const rules = all.filter(isValid)
      const compiled = compileSample(`"acls": [${rules.map(text).join()}]`)
      for (const to of SAMPLE.nodes) {
        const filter = compiled.filter(to.key).map(({ srcIps, dstPorts, ipProto }) => ({
          sources: (srcIps ?? []).map((one) => parseIpSet(one)),
          targets: (dstPorts ?? []).map(({ ip, ports }) => ({ set: parseIpSet(ip ?? ''), ports })),
          protocols: ipProto === undefined || ipProto.length === 0 ? PROTOCOLS[''] : ipProto,
        }))
        for (const from of SAMPLE.nodes) {
          if (from.key === to.key) continue
          // IPv4, since one of the names is a block of it.
          const [a, b] = [parseIpSet(from.addresses[0] ?? ''), parseIpSet(to.addresses[0] ?? '')]
          assert.ok(a && b)
          let speaks = false
          for (const port of PROBES)
            for (const protocol of [6, 17]) {
              const wanted = rules.some((one) => isNamed(one, from, to, port, protocol))
              const isOpen = filter.some(
                ({ sources, targets, protocols }) =>
                  protocols?.includes(protocol) === true &&
                  sources.some((one) => one?.covers(a)) &&
                  targets.some(
                    ({ set, ports }) => set?.covers(b) && (ports?.first ?? 0) <= port && port <= (ports?.last ?? 0),
                  ),
              )
              assert.equal(isOpen, wanted, `${from.key} → ${to.key}:${port} by ${protocol}`)
              speaks ||= wanted
            }
          if (speaks) assert.ok(compiled.sees(from.key, to.key) && compiled.sees(to.key, from.key))
        }
      }
      for (const viewer of SAMPLE.nodes)
        for (const peer of compiled.peersOf(viewer.key)) assert.ok(compiled.peersOf(peer).includes(viewer.key))
    }),
    { numRuns: 300 },
  )
})
