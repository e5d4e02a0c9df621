// What a session has to say of itself beside what works. Pure.

import type { AgentSnapshot, Problem } from '../contract/snapshot.ts'
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

/** While a person is waited for, and while they are not. */
export const loginState = (loginUrl: string | undefined): Partial<AgentSnapshot> => ({
  loginUrl,
  state: loginUrl === undefined ? 'starting' : 'needs-login',
  waitingFor: loginUrl === undefined ? 'the coordination server' : 'someone to log in',
  problem: undefined,
})

/** With a netmap in force; `isAuthorized`: nobody has to let this machine in any more. */
export const onlineState = (isAuthorized: boolean): Partial<AgentSnapshot> => ({
  state: isAuthorized ? 'running' : 'starting',
  waitingFor: isAuthorized ? undefined : "the owner's approval",
  loginUrl: undefined,
  problem: undefined,
})
