// The policy of a server as administrators handle it: read it, try a new one, put it in force. What is put in force has
// been checked, and its own tests pass.

import type { Clock } from '../../base/clock.ts'
import { CoordError } from '../errors.ts'
import type { Registry } from '../registry.ts'
import { CompiledPolicy } from './compile.ts'
import type { Policy } from './document.ts'
import { type Effects, policyEffects } from './effects.ts'
import { PolicyError } from './problem.ts'
import { unknownProviders } from './provider-groups.ts'
import { readPolicy } from './read-policy.ts'
import { runPolicyTests } from './run-tests.ts'
import { topologyOf } from './server-topology.ts'
import { loadPolicy, type StoredPolicy } from './stored-policy.ts'

/** What holds while nobody has set a policy, in words. */
export const DEFAULT_POLICY = `// Everyone may reach everyone: no policy has been set.
{
  "acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}],
}
`

/** Policies of large companies have some 20 KB. */
const MOST_CHARS = 512 * 1024

export interface PolicyInfo {
  /** 0 is the default. */
  readonly revision: number
  readonly text: string
  readonly savedAt?: string
  readonly by?: string
}

export class PolicyAdmin {
  readonly #registry: Registry
  readonly #clock: Clock

  constructor(options: { readonly registry: Registry; readonly clock: Clock }) {
    this.#registry = options.registry
    this.#clock = options.clock
  }

  /** The one in force, or an earlier one by its number. */
  async get(revision?: number): Promise<PolicyInfo> {
    const inForce = this.#registry.policy
    if (revision === undefined || revision === inForce?.revision) return inForce ? info(inForce) : defaultInfo()
    if (revision === 0) return defaultInfo()
    const stored = await this.#registry.read((store) => loadPolicy(store, revision))
    if (!stored) throw new CoordError('coord/not-found', `There is no revision ${revision} of the policy.`)
    return info(stored)
  }

  /** What would change for the nodes there are. Throws PolicyError. */
  async diff(text: string): Promise<Effects> {
    const policy = await this.#checked(text)
    const before = this.#inForce()
    const compile = (one: Policy) => new CompiledPolicy(one, topologyOf(this.#registry, one))
    return policyEffects(compile(before), compile(policy), (key) => this.#registry.node(Number(key))?.name ?? key)
  }

  /**
   * Puts it in force. `expected` is the revision it was made from: when somebody else was faster, theirs stays. Throws
   * PolicyError, and then nothing has changed.
   */
  async set(text: string, actor: string, expected?: number): Promise<PolicyInfo> {
    await this.#checked(text)
    const stored = await this.#registry.transaction(async (tx) => {
      const revision = (await loadPolicy(tx.store))?.revision ?? 0
      if (expected !== undefined && expected !== revision)
        throw new CoordError(
          'coord/conflict',
          `The policy is at revision ${revision} by now, not ${expected}; look at it (peerway coord policy get) and try again.`,
        )
      const next: StoredPolicy = { revision: revision + 1, text, savedAtMs: this.#clock.wallNow(), by: actor }
      await tx.setPolicy(next)
      await tx.audit(actor, 'policy.set', `policy:${next.revision}`, `${text.length} characters`)
      return next
    })
    return info(stored)
  }

  async #checked(text: string): Promise<Policy> {
    if (text.length > MOST_CHARS)
      throw new CoordError('coord/bad-argument', 'A policy has at most 512 KiB; put people into groups.')
    const policy = readPolicy(text)
    const { id } = this.#registry.tailnet
    const providers = await this.#registry.read(({ identity }) => identity.oidc.providers())
    const names = providers.filter(({ tailnetId }) => tailnetId === id).map(({ name }) => name)
    const unknown = unknownProviders(text, policy, names)
    if (unknown.length > 0) throw new PolicyError(unknown)
    const failures = runPolicyTests(text, policy, topologyOf(this.#registry, policy))
    if (failures.length > 0) throw new PolicyError(failures)
    return policy
  }

  #inForce(): Policy {
    try {
      return readPolicy(this.#registry.policy?.text ?? DEFAULT_POLICY)
    } catch {
      // What cannot be read denies everything.
      return readPolicy('{"acls": []}')
    }
  }
}

const defaultInfo = (): PolicyInfo => ({ revision: 0, text: DEFAULT_POLICY })

const info = ({ revision, text, savedAtMs, by }: StoredPolicy): PolicyInfo => ({
  revision,
  text,
  savedAt: new Date(savedAtMs).toISOString().replace('.000Z', 'Z'),
  by,
})
