// The servers that a crowd is let loose on, each as its maker ships it, in a namespace of its own.

import { writeFileSync } from 'node:fs'
import type { DerpMap } from '../stock/derper.ts'
import { startHeadscale } from '../stock/headscale.ts'
import type { Lab } from '../lab/lab.ts'
import { startCoord } from '../lab/peerway.ts'

export interface LoadServer {
  readonly url: string
  readonly pid: number
  /** A reusable key; with a segment's number, for the machines of that segment. */
  authKey(segment: number | undefined): Promise<string>
}

export type ServerName = 'ours' | 'headscale'

/** It wants a region, which nobody here speaks to. */
const NO_DERP: DerpMap = {
  Regions: {
    900: {
      RegionID: 900,
      RegionCode: 'none',
      RegionName: 'None',
      Nodes: [
        {
          Name: '900a',
          RegionID: 900,
          HostName: '192.0.2.1',
          IPv4: '192.0.2.1',
          STUNPort: -1,
          DERPPort: 443,
          CertName: '',
        },
      ],
    },
  },
}

const tag = (segment: number): string => `tag:s${segment}`

/** Everybody reaches the machines with the same tag; undefined for one segment, where the default does. */
function policyOf(segments: number): string | undefined {
  if (segments === 1) return undefined
  const tags = Array.from({ length: segments }, (_, i) => tag(i))
  return JSON.stringify({
    tagOwners: Object.fromEntries(tags.map((name) => [name, ['anna@lab.test']])),
    acls: tags.map((name) => ({ action: 'accept', src: [name], dst: [`${name}:*`] })),
  })
}

export async function startServer(
  name: ServerName,
  lab: Lab,
  segments: number,
  policyFile: string,
): Promise<LoadServer> {
  const policy = policyOf(segments)
  if (name === 'ours') {
    const coord = await startCoord(lab, lab.coord)
    await coord.cli('users', 'create', 'anna', '--email', 'anna@lab.test')
    if (policy !== undefined) {
      writeFileSync(policyFile, policy)
      await coord.cli('policy', 'set', policyFile)
    }
    return {
      url: coord.url,
      pid: coord.process.pid,
      authKey: async (segment) => {
        const whose = segment === undefined ? ['--user', 'anna'] : ['--tags', tag(segment)]
        const made = await coord.cli('auth-keys', 'create', ...whose, '--reusable', '--json')
        return (JSON.parse(made) as { key: string }).key
      },
    }
  }
  const headscale = await startHeadscale(lab, lab.coord, { derpMap: NO_DERP, ...(policy !== undefined && { policy }) })
  const user = await headscale.createUser('anna@lab.test')
  return {
    url: headscale.url,
    pid: headscale.process.pid,
    authKey: async (segment) => {
      const tags = segment === undefined ? [] : ['--tags', tag(segment)]
      const made = await headscale.cli('preauthkeys', 'create', '--user', String(user), '--reusable', ...tags)
      return (made as { key: string }).key
    },
  }
}
