// What a session has to say of itself beside what works. Pure.

import type { Problem } from '../contract/snapshot.ts'
import type { Netmap } from '../control/netmap.ts'

/** `found`: what does not work here; then what the server says. */
export function warningsOf(netmap: Netmap, found: readonly (Problem | undefined)[]): Problem[] {
  return [
    ...found.flatMap((problem) => (problem ? [{ code: problem.code, message: problem.message }] : [])),
    ...netmap.health.map((message) => ({ code: 'control/health', message })),
    ...[...netmap.displayMessages].map(([id, { title, text }]) => ({
      code: `control/${id}`,
      message: `${title}. ${text}`.trim(),
    })),
  ]
}
