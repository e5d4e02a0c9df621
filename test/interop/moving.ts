// What it takes to move: a stock server with two clients in its network, an empty server of ours, and the step from one to
// the other.

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { createLab, type Lab } from '../lab/lab.ts'
import { labUnavailable, runOrSkip } from '../lab/netns.ts'
import { peerwayUnavailable, startCoord, type PeerwayCoord } from '../lab/peerway.ts'
import { stockUnavailable } from '../stock/binaries.ts'
import { startDerper } from '../stock/derper.ts'
import { type Headscale, startHeadscale } from '../stock/headscale.ts'
import { startTailscaled, type Tailscaled } from '../stock/tailscaled.ts'

export const movingOptions = runOrSkip(
  labUnavailable() ?? peerwayUnavailable() ?? stockUnavailable('headscale', 'tailscale-new', 'tailscale-old'),
  240_000,
)

export interface OldNetwork {
  readonly lab: Lab
  readonly old: Headscale
  /** "stock-new", of the first user. */
  readonly a: Tailscaled
  /** "stock-old", of the second, or of the same. */
  readonly b: Tailscaled
  /** The addresses of both. */
  readonly before: readonly (readonly string[])[]
}

export async function oldNetwork(t: TestContext, users: readonly string[], policy?: string): Promise<OldNetwork> {
  const lab = await createLab({ sites: [{ nat: 'open' }, { nat: 'open' }], hosts: ['old', 'derp'] })
  t.after(() => lab.close())
  const derper = await startDerper(lab, lab.host('derp'))
  const old = await startHeadscale(lab, lab.host('old'), {
    derpMap: derper.derpMap,
    ...(policy !== undefined && { policy }),
  })
  const ids: number[] = []
  for (const user of users) ids.push(await old.createUser(user))
  const a = await startTailscaled(lab, lab.client(0), { version: 'new', hostname: 'stock-new' })
  const b = await startTailscaled(lab, lab.client(1), { version: 'old', hostname: 'stock-old' })
  await a.up({ loginServer: old.url, authKey: await old.createAuthKey(ids[0] ?? 0) })
  await b.up({ loginServer: old.url, authKey: await old.createAuthKey(ids.at(-1) ?? 0) })
  return { lab, old, a, b, before: [await a.addresses(), await b.addresses()] }
}

export interface NewServer {
  readonly coord: PeerwayCoord
  /** `peerway coord import …`, as JSON. */
  readonly ask: (...args: string[]) => Promise<Record<string, unknown>>
  /** Names of imported machines, and whether each has come. */
  readonly moved: () => Promise<(readonly [string, boolean])[]>
  /** Types on a client what "import rejoin" says. */
  readonly move: (client: Tailscaled, key: string) => Promise<void>
}

export async function newServer(lab: Lab): Promise<NewServer> {
  const coord = await startCoord(lab, lab.coord)
  const ask = async (...args: string[]): Promise<Record<string, unknown>> =>
    JSON.parse(await coord.cli('import', ...args, '--json')) as Record<string, unknown>
  return {
    coord,
    ask,
    moved: async () =>
      ((await ask('status'))['moves'] as readonly { node: string; moved: boolean }[]).map(
        ({ node, moved }) => [node, moved] as const,
      ),
    async move(client, key) {
      const up = await client.cli(
        'up',
        `--login-server=${coord.url}`,
        `--auth-key=${key}`,
        `--hostname=${client.hostname}`,
        '--accept-dns=false',
        '--force-reauth',
        '--reset',
        '--accept-risk=all',
        '--timeout=30s',
      )
      assert.equal(up.status, 0, up.stderr)
    },
  }
}
