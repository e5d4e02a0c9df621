// Talks to a running agent over its socket: what the CLI and the app's second window into an agent use.

import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { createInterface } from 'node:readline'
import { CodedError, codeOf } from '../../base/errors.ts'
import type { agentCalls, ArgOf, Reply, ResultOf } from '../../contract/calls.ts'
import type { AgentEvent, AgentSnapshot } from '../../contract/snapshot.ts'

const ANSWER_TIMEOUT_MS = 70_000

export class AgentClient {
  readonly #socketPath: string

  constructor(socketPath: string) {
    this.#socketPath = socketPath
  }

  /** The answer, or a CodedError: the agent's own, or 'cli/no-agent' when none runs. */
  async call<N extends keyof typeof agentCalls>(
    name: N,
    ...arg: ArgOf<(typeof agentCalls)[N]> extends void ? [] : [ArgOf<(typeof agentCalls)[N]>]
  ): Promise<ResultOf<(typeof agentCalls)[N]>> {
    const response = await this.#send('POST', '/peerway/v0/call', JSON.stringify({ name, arg: arg[0] }))
    const reply = JSON.parse(await text(response)) as Reply<ResultOf<(typeof agentCalls)[N]>>
    if (!reply.ok) throw new CodedError(reply.code, reply.message)
    return reply.value
  }

  /** The status document of this field. */
  async status(): Promise<Record<string, unknown>> {
    const response = await this.#send('GET', '/localapi/v0/status')
    return JSON.parse(await text(response)) as Record<string, unknown>
  }

  /** The present snapshot, then every later one, until `signal` aborts or the agent ends. */
  async *snapshots(signal: AbortSignal): AsyncGenerator<AgentSnapshot> {
    for await (const line of this.watch(signal)) if ('snapshot' in line) yield line.snapshot
  }

  async *watch(signal: AbortSignal): AsyncGenerator<{ snapshot: AgentSnapshot } | { event: AgentEvent }> {
    const response = await this.#send('GET', '/peerway/v0/watch', undefined, signal)
    const lines = createInterface({ input: response, crlfDelay: Infinity })
    try {
      for await (const line of lines) yield JSON.parse(line) as { snapshot: AgentSnapshot } | { event: AgentEvent }
    } catch (error) {
      if (!signal.aborted) throw error
    } finally {
      response.destroy()
    }
  }

  #send(method: string, path: string, body?: string, signal?: AbortSignal): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const sent: ClientRequest = request(
        {
          socketPath: this.#socketPath,
          // A connection of its own: those of the shared pool are cut after five quiet seconds, and a watcher may wait for hours.
          agent: false,
          method,
          path,
          headers:
            body === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) },
          ...(signal ? { signal } : { timeout: ANSWER_TIMEOUT_MS }),
        },
        resolve,
      )
      sent.on('timeout', () =>
        sent.destroy(new CodedError('cli/agent-silent', 'The agent does not answer. Restart it and try again.')),
      )
      sent.on('error', (error) => reject(this.#explain(error)))
      sent.end(body)
    })
  }

  #explain(error: Error): Error {
    const code = codeOf(error)
    if (code === 'ENOENT' || code === 'ECONNREFUSED')
      return new CodedError(
        'cli/no-agent',
        `No agent answers on ${this.#socketPath}. Start the app, or run: peerway agent`,
        { cause: error },
      )
    if (code === 'EACCES')
      return new CodedError(
        'cli/no-rights',
        `You may not use the agent's socket ${this.#socketPath}. Run this as the user who runs the agent.`,
        { cause: error },
      )
    return error
  }
}

async function text(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of response) parts.push(part as Buffer)
  return Buffer.concat(parts).toString('utf8')
}
