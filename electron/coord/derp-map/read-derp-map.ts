// A DERP map as people of this field write it (HuJSON, the names of Go's tailcfg.DERPMap), with everything wrong told by line
// and column. What clients would not understand, or could not check, is refused here: they would be without relays.

import { canonicalIp, isV6 } from '../../base/endpoint.ts'
import type { DerpMapInput, DerpNodeInput, DerpRegionInput } from '../../wire/tailcfg/derp-map.ts'
import { CoordError } from '../errors.ts'
import { type HuJson, HuJsonError, type HuMember, parseHuJson } from '../policy/hujson.ts'
import { Problems, problemText } from '../policy/problem.ts'
import { Shapes } from '../policy/shape.ts'

export const MOST_REGIONS = 64
const MOST_NODES = 16
const HOST = /^(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.?$/i
const PIN = /^sha256-raw:[0-9a-f]{64}$/

/** Regions of one's own. `omitsEmbedded`: the server's own region is not among those that machines are told. */
export interface OwnDerpMap {
  readonly map: DerpMapInput
  readonly omitsEmbedded: boolean
}

/** Throws CoordError 'coord/bad-argument', which tells all that is wrong, and nothing else. */
export function readDerpMap(text: string): OwnDerpMap {
  const problems = new Problems(text)
  let own: OwnDerpMap | undefined
  try {
    own = new Reader(new Shapes(problems)).map(parseHuJson(text))
  } catch (error) {
    if (!(error instanceof HuJsonError)) throw error
    problems.add(error.at, error.message)
  }
  const [first] = problems.list
  if (own && !first) return own
  const told = problems.list.map(problemText).join('; ')
  throw new CoordError('coord/bad-argument', `The DERP map cannot be used: ${told}.`)
}

class Reader {
  readonly #shapes: Shapes

  constructor(shapes: Shapes) {
    this.#shapes = shapes
  }

  map(document: HuJson): OwnDerpMap {
    const shapes = this.#shapes
    const found = shapes.members(document, 'a DERP map', ['Regions', 'omitDefaultRegions', 'HomeParams'])
    const regions = new Map<number, DerpRegionInput>()
    const entries = found.Regions ? shapes.entries(found.Regions.value, '"Regions"') : []
    if (entries.length > MOST_REGIONS) this.#bad(document.at, `a map has at most ${MOST_REGIONS} regions`)
    for (const entry of entries.slice(0, MOST_REGIONS)) {
      const id = /^[1-9]\d{0,4}$/.test(entry.name) ? Number(entry.name) : 0
      if (id < 1 || id > 65_535) this.#bad(entry.at, `"${entry.name}" is no number of a region, from 1 to 65535`)
      // As in the field: a region that is not to be there.
      else if (entry.value.kind === 'null') continue
      else if (regions.has(id)) this.#bad(entry.at, `the region ${id} stands twice; keep one`)
      else regions.set(id, this.#region(entry, id))
    }
    this.#refuseTwins(entries)
    const regionScore = this.#scores(found.HomeParams, regions)
    return {
      map: { regions, ...(regionScore && { homeParams: { regionScore } }) },
      omitsEmbedded: shapes.flag(found.omitDefaultRegions),
    }
  }

  #region(entry: HuMember, id: number): DerpRegionInput {
    const shapes = this.#shapes
    const found = shapes.members(entry.value, 'a region', [
      'RegionID',
      'RegionCode',
      'RegionName',
      'Latitude',
      'Longitude',
      'Avoid',
      'NoMeasureNoHome',
      'Nodes',
    ])
    if (found.RegionID) this.#same(found.RegionID, id)
    const code = this.#text(found.RegionCode, /^[a-zA-Z0-9][a-zA-Z0-9_-]{0,31}$/, 'letters, digits and -, at most 32')
    const name = this.#text(found.RegionName, /^[^\p{Cc}]{1,128}$/u, 'a text of at most 128 characters')
    if (code === undefined) this.#bad(entry.at, `the region ${id} has no "RegionCode", such as "fra"`)
    const items = shapes.items(found.Nodes)
    if (items.length === 0) this.#bad(entry.at, `the region ${id} has no "Nodes", so nothing relays there`)
    if (items.length > MOST_NODES) this.#bad(entry.at, `a region has at most ${MOST_NODES} nodes`)
    const nodes = items.slice(0, MOST_NODES).map((item, i) => this.#node(item, id, i))
    if (items.length > 0 && nodes.every(({ stunOnly }) => stunOnly === true))
      this.#bad(entry.at, `no node of the region ${id} relays: all are "STUNOnly"`)
    return {
      regionId: id,
      regionCode: code ?? '',
      regionName: name ?? code ?? '',
      latitude: this.#number(found.Latitude, -90, 90),
      longitude: this.#number(found.Longitude, -180, 180),
      avoid: shapes.flag(found.Avoid),
      noMeasureNoHome: shapes.flag(found.NoMeasureNoHome),
      nodes,
    }
  }

  #node(value: HuJson, regionId: number, index: number): DerpNodeInput {
    const shapes = this.#shapes
    const found = shapes.members(value, 'a node', [
      'Name',
      'RegionID',
      'HostName',
      'CertName',
      'IPv4',
      'IPv6',
      'STUNPort',
      'STUNOnly',
      'DERPPort',
      'CanPort80',
      'InsecureForTests',
    ])
    if (found.RegionID) this.#same(found.RegionID, regionId)
    if (shapes.flag(found.InsecureForTests))
      this.#bad(
        found.InsecureForTests?.at ?? value.at,
        'whoever is on the way could be the relay then; pin its certificate with "CertName"',
      )
    const host = found.HostName && shapes.text(found.HostName.value, '"HostName"')
    if (!found.HostName) this.#bad(value.at, 'a node needs a "HostName"')
    if (host && !HOST.test(host.text) && canonicalIp(host.text) === undefined)
      this.#bad(host.at, `"${host.text.slice(0, 80)}" is no name of a host and no address`)
    return {
      name:
        this.#text(found.Name, /^[a-zA-Z0-9._-]{1,64}$/, 'letters, digits, . and -, at most 64') ??
        `${regionId}${letterOf(index)}`,
      regionId,
      hostName: host?.text ?? '',
      certName: this.#certName(found.CertName),
      ipv4: this.#address(found.IPv4, false),
      ipv6: this.#address(found.IPv6, true),
      stunPort: this.#port(found.STUNPort, -1),
      stunOnly: shapes.flag(found.STUNOnly),
      derpPort: this.#port(found.DERPPort, 0),
      canPort80: shapes.flag(found.CanPort80),
    }
  }

  #certName(member: HuMember | undefined): string | undefined {
    const found = member && this.#shapes.text(member.value, '"CertName"')
    if (!found || found.text === '') return undefined
    const isPin = found.text.startsWith('sha256-raw:')
    if (isPin && !PIN.test(found.text))
      this.#bad(
        found.at,
        'after sha256-raw: come the 64 hexadecimal digits, in small letters, of the certificate’s SHA-256',
      )
    else if (!isPin && !HOST.test(found.text))
      this.#bad(found.at, `"${found.text.slice(0, 80)}" is no name in a certificate; to pin one, write sha256-raw:…`)
    return found.text
  }

  /** Anything but an address turns the family off; "none" says so. */
  #address(member: HuMember | undefined, wantsV6: boolean): string | undefined {
    const found = member && this.#shapes.text(member.value, `"${member.name}"`)
    if (!found || found.text === '' || found.text === 'none') return found?.text || undefined
    const address = canonicalIp(found.text)
    if (address !== undefined && isV6(address) === wantsV6) return address
    this.#bad(
      found.at,
      `"${found.text.slice(0, 80)}" is no ${wantsV6 ? 'IPv6' : 'IPv4'} address; "none" turns the family off`,
    )
    return undefined
  }

  #port(member: HuMember | undefined, least: number): number | undefined {
    const port = this.#number(member, least, 65_535)
    if (port === undefined || Number.isInteger(port)) return port
    this.#bad(member?.at ?? 0, `"${member?.name ?? ''}" is a whole number`)
    return undefined
  }

  #number(member: HuMember | undefined, least: number, most: number): number | undefined {
    if (!member) return undefined
    const { value } = member
    if (value.kind === 'number' && value.value >= least && value.value <= most) return value.value
    this.#bad(value.at, `"${member.name}" is a number from ${least} to ${most}`)
    return undefined
  }

  #text(member: HuMember | undefined, form: RegExp, said: string): string | undefined {
    const found = member && this.#shapes.text(member.value, `"${member.name}"`)
    if (!found || found.text === '') return undefined
    if (!form.test(found.text)) this.#bad(found.at, `"${member?.name ?? ''}" is ${said}`)
    return found.text
  }

  #same(member: HuMember, id: number): void {
    const { value } = member
    if (value.kind !== 'number' || value.value !== id)
      this.#bad(value.at, `this stands under "${id}", so its "RegionID" is ${id}`)
  }

  /** Clients tell nodes apart by their names, over all regions. */
  #refuseTwins(regions: readonly HuMember[]): void {
    const seen = new Set<string>()
    for (const { value } of regions) {
      const nodes = membersOf(value).find(({ name }) => name.toLowerCase() === 'nodes')?.value
      for (const node of nodes?.kind === 'array' ? nodes.items : []) {
        const name = membersOf(node).find((member) => member.name.toLowerCase() === 'name')?.value
        if (name?.kind !== 'string' || name.value === '') continue
        if (seen.has(name.value)) this.#bad(name.at, `two nodes are called "${name.value}"`)
        seen.add(name.value)
      }
    }
  }

  #scores(
    member: HuMember | undefined,
    regions: ReadonlyMap<number, unknown>,
  ): ReadonlyMap<number, number> | undefined {
    if (!member) return undefined
    const found = this.#shapes.members(member.value, '"HomeParams"', ['RegionScore'])
    const scores = new Map<number, number>()
    for (const entry of found.RegionScore ? this.#shapes.entries(found.RegionScore.value, '"RegionScore"') : []) {
      const score = this.#number(entry, 0.01, 100)
      if (!regions.has(Number(entry.name)))
        this.#bad(entry.at, `there is no region "${entry.name.slice(0, 20)}" in this map`)
      else if (score !== undefined) scores.set(Number(entry.name), score)
    }
    return scores
  }

  #bad(at: number, message: string): void {
    this.#shapes.problems.add(at, message)
  }
}

const membersOf = (value: HuJson): readonly HuMember[] => (value.kind === 'object' ? value.members : [])

const letterOf = (index: number): string => String.fromCharCode('a'.charCodeAt(0) + index)
