// What our own server has to hold, on two processors that the crowd shares.

import type { LoadOptions, LoadResult } from './load.ts'

const MIB_PER_NODE = 100 / 1024
const BASE_MIB = 200

/** In words; empty when all are met. */
export function missedTargets(result: LoadResult, { nodes, servers = 1 }: LoadOptions): string[] {
  const value = (phase: string, name: string): number => result.get(phase)?.values[name] ?? NaN
  const within = (what: string, got: number, most: number): string[] =>
    got <= most ? [] : [`${what}: ${got.toFixed(1)}, at most ${most.toFixed(1)}`]
  return [
    ...within('maps never complete after registration', value('register', 'incomplete'), 0),
    ...within('99 % of endpoint changes told, ms', value('delta', 'p99Ms'), nodes <= 1_000 ? 1_000 : 2_000),
    ...within('not told of an endpoint change', value('delta', 'missed'), 0),
    ...within('bytes of an endpoint change', value('delta', 'bytes'), 200),
    ...within('messages for reports without news', value('repeat', 'messages'), 0),
    ...within('not back after all dropped', value('return', 'incomplete'), 0),
    ...within('all back, s', value('return', 'allSeconds'), 60),
    ...within('whole map after the own return, p95 ms', value('return', 'p95Ms'), 20_000),
    ...within('shown offline while connected', value('return', 'shownOffline'), 0),
    ...within('most memory, MiB', value('return', 'peakMiB'), BASE_MIB + nodes * MIB_PER_NODE),
    ...(servers === 1
      ? []
      : [
          ...within('not back after their server was killed', value('move', 'incomplete'), 0),
          ...within('all at another server, s', value('move', 'allSeconds'), 60),
          ...within('shown offline while at another server', value('move', 'shownOffline'), 0),
          ...within('addresses given twice', value('move', 'sharedAddresses'), 0),
        ]),
  ]
}
