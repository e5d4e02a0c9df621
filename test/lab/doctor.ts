// The path doctor as tests ask it: through the command line, until it names what the test made.

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { AgentClient } from '../../electron/agent/client/agent-client.ts'
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

type Said = DoctorCause | null

/** Open answers are never wrong. */
const OPEN: ReadonlySet<Said> = new Set(['unknown', 'idle', 'looking'])

/** All that the doctor of one machine says, heard as the app hears it: also what is true for a moment only. */
export class DoctorWatch {
  readonly #hostname: string
  readonly #said = new Map<string, { readonly cause: Said; readonly atMs: number; readonly text: string }[]>()
  readonly #truth = new Map<string, Said>()
  readonly #abort = new AbortController()
  readonly #ended: Promise<void>

  constructor(agent: PeerwayAgent) {
    this.#hostname = agent.hostname
    this.#ended = this.#listen(agent)
  }

  async #listen(agent: PeerwayAgent): Promise<void> {
    try {
      for await (const { peers } of new AgentClient(agent.socket).snapshots(this.#abort.signal))
        for (const { name, doctor, path } of Object.values(peers)) {
          const said = this.#said.get(name) ?? []
          this.#said.set(name, said)
          // A peer that is not direct and of which nothing is said is no direct one.
          const cause = doctor?.cause ?? (path.kind === 'direct' ? null : 'unknown')
          if (said.at(-1)?.cause !== cause) said.push({ cause, atMs: performance.now(), text: doctor?.text ?? '' })
        }
    } catch {
      // The agent was ended, as some tests mean to.
    }
  }

  /** Nothing but this was said of that machine since the last time it was asked for, or what was right then. */
  check(about: string, cause: Said, ...before: readonly (Said | undefined)[]): void {
    const said = this.#said.get(about) ?? []
    const right = new Set([cause, ...before, this.#truth.get(about)])
    this.#truth.set(about, cause)
    const wrong = said.filter((one) => !OPEN.has(one.cause) && !right.has(one.cause))
    const times = said.map((one) => `${Math.round((one.atMs - performance.now()) / 1_000)} s: ${one.cause}`).join(', ')
    this.#said.set(about, said.slice(-1))
    assert.deepEqual(wrong, [], `${this.#hostname} said of ${about}, where ${cause} is right: ${times}`)
  }

  /** The same as was right the last time, now and in between. */
  stays(about: string, now: Said): void {
    const before = this.#truth.get(about) ?? null
    this.check(about, before)
    assert.equal(now, before, `${this.#hostname} says of ${about} later`)
  }

  async end(): Promise<void> {
    this.#abort.abort()
    await this.#ended
  }
}

const watches = new WeakMap<PeerwayAgent, DoctorWatch>()

/** From now on `names` judges all that this machine says. */
export function watchDoctor(t: TestContext, agent: PeerwayAgent): DoctorWatch {
  const watch = new DoctorWatch(agent)
  watches.set(agent, watch)
  t.after(() => watch.end())
  return watch
}

/**
 * Until the doctor says so; `null` for a direct path. Open answers may come before, and what was so a moment ago (`before`, and
 * what was named the last time); a wrong cause may not, not even between two questions.
 */
export async function names(
  agent: PeerwayAgent,
  about: string,
  cause: Said,
  ...before: readonly (Said | undefined)[]
): Promise<Told> {
  let last: Told | undefined
  const isRight = (said: Said): boolean => OPEN.has(said) || said === cause || before.includes(said)
  const told = await until(
    async () => {
      last = await ask(agent, about)
      return last.cause === cause || !isRight(last.cause) ? last : undefined
    },
    {
      timeoutMs: DIAGNOSIS_MS,
      what: `${agent.hostname} to name ${cause ?? 'nothing'} for ${about}`,
      explain: () => `last: ${JSON.stringify(last)}\n${agent.log().slice(-3_000)}`,
    },
  )
  // Outside of `until`, for which a failure only means "not yet".
  assert.equal(told.cause, cause, `${agent.hostname} says of ${about}: ${JSON.stringify(told)}`)
  watches.get(agent)?.check(about, cause, ...before)
  return told
}

/** A network whose server answers STUN at two addresses, and a way to bring machines into it. */
export async function startNetwork(t: TestContext, lab: Lab): Promise<Network> {
  const { address, secondAddress, address6 } = lab.coord
  const stun = [address, secondAddress, ...(address6 === undefined ? [] : [`[${address6}]`])].map(
    (one) => `${one}:3478`,
  )
  const coord = await startCoord(lab, lab.coord, ['--stun', stun.join(',')])
  await coord.createUser('anna')
  const authKey = await coord.createAuthKey('anna', { reusable: true })
  const join = async (machine: Machine, hostname: string): Promise<PeerwayAgent> => {
    const agent = await startAgent(lab, machine, { hostname })
    await agent.up({ loginServer: coord.url, authKey })
    watchDoctor(t, agent)
    return agent
  }
  return { coord, join }
}

export interface Network {
  readonly coord: PeerwayCoord
  readonly join: (machine: Machine, hostname: string) => Promise<PeerwayAgent>
}

/** What was named stays named: nothing else is said while the trouble lasts. */
export async function holds(pairs: readonly (readonly [PeerwayAgent, string])[], forMs: number): Promise<void> {
  await delay(forMs)
  for (const [agent, about] of pairs) {
    const { cause } = await ask(agent, about)
    watches.get(agent)?.stays(about, cause)
  }
}
