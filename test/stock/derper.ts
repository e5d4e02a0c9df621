// A DERP server of others, with a certificate it signs itself and that clients pin by its hash.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Machine, Place } from '../lab/lab.ts'
import type { LabProcess } from '../lab/process.ts'
import { stockBinary } from './binaries.ts'

export const DERP_REGION = 900
const STUN_PORT = 3478

export interface Derper {
  /** What each region's node pins as CertName: "sha256-raw:<hex>", by region. */
  readonly certNames: ReadonlyMap<number, string>
  readonly processes: readonly LabProcess[]
  /** With the field names of the JSON form. */
  readonly derpMap: DerpMap
  stop(): Promise<void>
}

export interface DerpMap {
  readonly Regions: Readonly<Record<string, DerpRegion>>
}

export interface DerpRegion {
  readonly RegionID: number
  readonly RegionCode: string
  readonly RegionName: string
  readonly Nodes: readonly DerpNode[]
}

export interface DerpNode {
  readonly Name: string
  readonly RegionID: number
  readonly HostName: string
  readonly IPv4: string
  readonly STUNPort: number
  readonly DERPPort: number
  readonly CertName: string
}

export interface DerperOptions {
  /**
   * Another address of the host, for a region 901. Clients ask one node of each region, so they can only tell a hard NAT from
   * an easy one with two regions; with one, everybody has the same home.
   */
  readonly secondAddress?: string
}

/** DERP over TLS on port 443, with STUN. */
export async function startDerper(place: Place, host: Machine, options: DerperOptions = {}): Promise<Derper> {
  const addresses = [host.address, ...(options.secondAddress === undefined ? [] : [options.secondAddress])]
  const processes: LabProcess[] = []
  const certNames = new Map<number, string>()
  const regions: DerpRegion[] = []
  for (const [index, address] of addresses.entries()) {
    const id = DERP_REGION + index
    const started = startOne(place, host, address, `derper-${host.ns.role}-${id}`)
    // For an address in place of a name it makes a certificate and prints what pins it.
    const [, certName = ''] = await started.waitForOutput(/"(sha256-raw:[0-9a-f]{64})"/)
    await started.waitForOutput(/serving on/)
    processes.push(started)
    certNames.set(id, certName)
    const node: DerpNode = {
      Name: `${id}a`,
      RegionID: id,
      HostName: address,
      IPv4: address,
      STUNPort: STUN_PORT,
      DERPPort: 443,
      CertName: certName,
    }
    regions.push({ RegionID: id, RegionCode: `lab${index}`, RegionName: `Lab ${index}`, Nodes: [node] })
  }
  return {
    certNames,
    processes,
    derpMap: { Regions: Object.fromEntries(regions.map((region) => [String(region.RegionID), region])) },
    async stop() {
      for (const started of processes) await started.stop()
    },
  }
}

function startOne(place: Place, host: Machine, address: string, name: string): LabProcess {
  const dir = join(place.dir, name)
  mkdirSync(dir, { recursive: true })
  const command = [stockBinary('tailscale-old', 'derper'), '-a', `${address}:443`, '-hostname', address]
  const files = ['-certmode', 'manual', '-certdir', dir, '-c', join(dir, 'derper.json')]
  return host.ns.start([...command, ...files, '-http-port', '-1', '-stun-port', String(STUN_PORT)], { name })
}
