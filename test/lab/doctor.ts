// The path doctor as tests ask it: through the command line, until it names what the test made.

import assert from 'node:assert/strict'
import type { DoctorCause } from '../../electron/contract/doctor.ts'
import type { Lab, Machine } from './lab.ts'
import { startAgent, startCoord, type PeerwayAgent, type PeerwayCoord } from './peerway.ts'
import { until } from './process.ts'

/** What one end learns of the other travels over the server; what only trying shows takes fifteen seconds. */
export const DIAGNOSIS_MS = 100_000

/** The one after the server's own. */
export const DERP_PORT = 8_481

export interface Told {
  readonly cause: DoctorCause | null
  readonly text?: string
  readonly nextStep?: string
}

export async function ask(agent: PeerwayAgent, about: string): Promise<Told> {
  const result = await agent.cli('doctor', about, '--json')
  if (result.status !== 0) throw new Error(`${agent.hostname}: doctor ${about}: ${result.stderr}`)
  return JSON.parse(result.stdout) as Told
}

/**
 * Until the doctor says so; `null` for a direct path. Open answers may come before, and what was so a moment ago; a wrong cause
 * may not.
 */
export async function names(
  agent: PeerwayAgent,
  about: string,
  cause: DoctorCause | null,
  before?: DoctorCause | null,
): Promise<Told> {
  const open: readonly (string | null | undefined)[] = ['unknown', 'idle', 'looking', cause, before]
  let last: Told | undefined
  const told = await until(
    async () => {
      last = await ask(agent, about)
      return last.cause === cause || !open.includes(last.cause) ? last : undefined
    },
    {
      timeoutMs: DIAGNOSIS_MS,
      what: `${agent.hostname} to name ${cause ?? 'nothing'} for ${about}`,
      explain: () => `last: ${JSON.stringify(last)}\n${agent.log().slice(-3_000)}`,
    },
  )
  // Outside of `until`, for which a failure only means "not yet".
  assert.equal(told.cause, cause, `${agent.hostname} says of ${about}: ${JSON.stringify(told)}`)
  return told
}

/** A network whose server answers STUN at two addresses, and a way to bring machines into it. */
export async function startNetwork(lab: Lab): Promise<Network> {
  const { address, secondAddress } = lab.coord
  const coord = await startCoord(lab, lab.coord, ['--stun', `${address}:3478,${secondAddress}:3478`])
  await coord.createUser('anna')
  const authKey = await coord.createAuthKey('anna', { reusable: true })
  const join = async (machine: Machine, hostname: string): Promise<PeerwayAgent> => {
    const agent = await startAgent(lab, machine, { hostname })
    await agent.up({ loginServer: coord.url, authKey })
    return agent
  }
  return { coord, join }
}

export interface Network {
  readonly coord: PeerwayCoord
  readonly join: (machine: Machine, hostname: string) => Promise<PeerwayAgent>
}
