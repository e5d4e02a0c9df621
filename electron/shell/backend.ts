// Everything behind the window that runs without one: the network of this computer, the agent, and the socket for the CLI.

import type { Agent } from '../agent/agent.ts'
import { LocalApi } from '../agent/local-api.ts'
import { openAgent } from '../agent/open-agent.ts'
import { withDeadline } from '../base/deadline.ts'
import { CodedError } from '../base/errors.ts'
import { Listeners } from '../base/lifetime.ts'
import type { Logger } from '../base/log.ts'
import type { OwnNetworkView } from '../contract/calls.ts'
import type { AgentEvent, AgentSnapshot } from '../contract/snapshot.ts'
import { OwnNetwork } from '../coord-host/own-network.ts'
import type { Places } from './places.ts'

/** Longer than an agent needs to undo routes and say goodbye; a quit never hangs. */
const CLOSE_MS = 10_000

interface Running {
  readonly agent: Agent
  readonly api: LocalApi
}

export class Backend {
  readonly own: OwnNetwork
  readonly #places: Places
  readonly #log: Logger
  readonly #snapshots = new Listeners<AgentSnapshot>()
  readonly #events = new Listeners<AgentEvent>()
  #running: Promise<Running> | undefined
  #closed = false

  constructor(places: Places, log: Logger) {
    this.#places = places
    this.#log = log
    this.own = new OwnNetwork({ stateDir: places.stateDir, log })
  }

  onSnapshot(listener: (snapshot: AgentSnapshot) => void): () => void {
    return this.#snapshots.add(listener)
  }

  onEvent(listener: (event: AgentEvent) => void): () => void {
    return this.#events.add(listener)
  }

  onOwnNetwork(listener: (own: OwnNetworkView) => void): () => void {
    return this.own.onChange(listener)
  }

  /**
   * The agent, started at the first call; its failure ('agent/state-…', 'agent/already-running') is thrown, and the next
   * call tries again.
   */
  async agent(): Promise<Agent> {
    if (this.#closed) throw new CodedError('shell/closing', 'Peerway is closing.')
    this.#running ??= this.#start().catch((error: unknown) => {
      this.#running = undefined
      throw error
    })
    return (await this.#running).agent
  }

  async #start(): Promise<Running> {
    const { socketPath } = this.#places
    await LocalApi.assertFree(socketPath)
    // A server on this computer comes first: its own agent is its first client.
    await this.own.resume()
    const agent = await openAgent({ ...this.#places, log: this.#log })
    try {
      const api = await LocalApi.listen(socketPath, agent, this.#log.scoped('local-api'))
      agent.onSnapshot((snapshot) => this.#snapshots.emit(snapshot))
      agent.onEvent((event) => this.#events.emit(event))
      this.#snapshots.emit(agent.snapshot())
      return { agent, api }
    } catch (error) {
      await agent.close()
      throw error
    }
  }

  /** One click: the network of this computer, and this computer in it. */
  async startOwn(name: string | undefined): Promise<OwnNetworkView> {
    const agent = await this.agent()
    await this.own.start(name)
    const { serverUrl, authKey } = await this.own.ownKey()
    const { tailnet, state } = agent.snapshot()
    const isIn = tailnet?.serverUrl === serverUrl && state !== 'needs-login'
    await agent.handlers['agent.up']({
      serverUrl,
      authKey: isIn ? undefined : authKey,
      hostname: undefined,
      forceReauth: undefined,
    })
    return this.own.view
  }

  /** Stops without changing any wish: the next start goes on. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    const late = (): Error => new CodedError('shell/slow-close', 'The agent took too long to stop.')
    await withDeadline(this.#closeAll(), CLOSE_MS, late).catch((error: unknown) =>
      this.#log.warn('closing failed', { error }),
    )
  }

  async #closeAll(): Promise<void> {
    const running = await this.#running?.catch(() => undefined)
    await running?.api.close()
    await running?.agent.close()
    await this.own.close()
  }
}
