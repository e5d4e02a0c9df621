// A crowd as large as a test can wait for; `npm run bench:coord` goes further, beside a stock server.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noPostgres } from '../../electron/coord/store/test-postgres.ts'
import { labUnavailable, runOrSkip } from '../lab/netns.ts'
import { peerwayUnavailable } from '../lab/peerway.ts'
import { load } from './load.ts'
import { missedTargets } from './targets.ts'

const options = runOrSkip(labUnavailable() ?? peerwayUnavailable(), 280_000)

for (const { nodes, segments, servers, skip } of [
  { nodes: 400, segments: 1, servers: 1, skip: false },
  { nodes: 1_000, segments: 20, servers: 1, skip: false },
  // What one server tells the machines of the other; and one of them is killed.
  { nodes: 120, segments: 1, servers: 2, skip: noPostgres },
] as const)
  test(
    `${nodes} machines in ${segments} groups on ${servers} servers: all join, hear of changes, drop and return`,
    { ...options, ...(skip !== false && { skip }) },
    async (t) => {
      const wish = { nodes, segments, servers, returnWithinMs: servers > 1 ? 3_000 : 10_000 }
      const result = await load('ours', wish)
      for (const { phase, values } of result.values()) t.diagnostic(`${phase}: ${JSON.stringify(values)}`)
      // What a machine is busy with besides makes times long, and not maps wrong; figures are the benchmark's.
      const broken = missedTargets(result, wish).filter((line) => !/ ms:|, s:|MiB/.test(line))
      assert.deepEqual(broken, [])
    },
  )
