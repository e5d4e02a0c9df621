// The servers that a crowd is let loose on, each as its maker ships it, in a namespace of its own.

import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { serverKeyPath } from '../../electron/coord/server-key.ts'
import { TestPostgres } from '../../electron/coord/store/test-postgres.ts'
import type { DerpMap } from '../stock/derper.ts'
import { startHeadscale } from '../stock/headscale.ts'
import type { Lab } from '../lab/lab.ts'
import { startCoord, type PeerwayCoord } from '../lab/peerway.ts'

export interface LoadServer {
  /** More than one: servers on one database. */
  readonly urls: readonly string[]
  readonly pids: readonly number[]
  /** The last of several falls without a word. */
  killLast(): void
  /** Addresses that more than one machine was given. */
  sharedAddresses(): Promise<number>
  close(): Promise<void>
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

/** The host of one more server. */
export const moreHost = (i: number): string => `coord${i}`

export async function startServer(
  name: ServerName,
  lab: Lab,
  { segments, servers }: { readonly segments: number; readonly servers: number },
  policyFile: string,
): Promise<LoadServer> {
  const policy = policyOf(segments)
  return name === 'ours' ? startOurs(lab, segments, servers, policy, policyFile) : startStock(lab, policy)
}

async function startOurs(
  lab: Lab,
  segments: number,
  servers: number,
  policy: string | undefined,
  policyFile: string,
): Promise<LoadServer> {
  const postgres = servers > 1 ? await TestPostgres.start() : undefined
  try {
    const database = postgres ? ['--database', await postgres.database(), '--no-derp'] : []
    const first = await startCoord(lab, lab.coord, database)
    const coords: PeerwayCoord[] = [first]
    const urls = [first.url]
    for (let i = 1; i < servers; i++) {
      const host = lab.host(moreHost(i))
      const stateDir = join(lab.dir, `coord-${host.ns.role}`)
      mkdirSync(stateDir, { recursive: true, mode: 0o700 })
      copyFileSync(serverKeyPath(first.stateDir), serverKeyPath(stateDir))
      coords.push(await startCoord(lab, host, [...database, '--url', first.url]))
      urls.push(first.url.replace(lab.coord.address, host.address))
    }
    await first.cli('users', 'create', 'anna', '--email', 'anna@lab.test')
    if (policy !== undefined) {
      writeFileSync(policyFile, policy)
      await first.cli('policy', 'set', policyFile)
    }
    return {
      urls,
      pids: coords.map(({ process }) => process.pid),
      killLast: () => coords.at(-1)?.process.killNow(),
      authKey: async (segment) => {
        const whose = segment === undefined ? ['--user', 'anna'] : ['--tags', tag(segment)]
        const made = await first.cli('auth-keys', 'create', ...whose, '--reusable', '--json')
        return (JSON.parse(made) as { key: string }).key
      },
      sharedAddresses: async () => {
        const nodes = JSON.parse(await first.cli('nodes', 'list', '--json')) as { addresses?: string[] }[]
        const all = nodes.flatMap(({ addresses = [] }) => addresses)
        return all.length - new Set(all).size
      },
      close: async () => postgres?.end(),
    }
  } catch (error) {
    await postgres?.end()
    throw error
  }
}

async function startStock(lab: Lab, policy: string | undefined): Promise<LoadServer> {
  const headscale = await startHeadscale(lab, lab.coord, { derpMap: NO_DERP, ...(policy !== undefined && { policy }) })
  const user = await headscale.createUser('anna@lab.test')
  return {
    urls: [headscale.url],
    pids: [headscale.process.pid],
    killLast: () => {},
    authKey: async (segment) => {
      const tags = segment === undefined ? [] : ['--tags', tag(segment)]
      const made = await headscale.cli('preauthkeys', 'create', '--user', String(user), '--reusable', ...tags)
      return (made as { key: string }).key
    },
    sharedAddresses: async () => 0,
    close: async () => {},
  }
}
