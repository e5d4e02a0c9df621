// Our agent as a relay, as tests see it.

import { until } from './process.ts'
import type { PeerwayAgent } from './peerway.ts'

/** The members of `peerway relay status --json` that tests look at. */
export interface RelayStatus {
  readonly State: string
  readonly UDPPort: number | null
  readonly Endpoints: readonly string[]
  readonly Mapping: string
  readonly PortMapping: boolean
  readonly Pause: { readonly Reason: string; readonly EndsAt: string | null } | null
  readonly UsedBytes: number
  readonly Sessions: readonly {
    readonly VNI: number
    readonly State: string
    readonly Clients: readonly {
      readonly Name: string | null
      readonly Endpoint: string | null
      readonly BytesTx: number
    }[]
  }[]
  readonly Totals: Readonly<Record<string, number>>
}

export async function relayStatus(agent: PeerwayAgent): Promise<RelayStatus> {
  const result = await agent.cli('relay', 'status', '--json')
  if (result.status !== 0) throw new Error(`${agent.hostname}: relay status: ${result.stderr}${result.stdout}`)
  return JSON.parse(result.stdout) as RelayStatus
}

/** Turns it on and waits until it knows an address to offer. */
export async function turnRelayOn(
  agent: PeerwayAgent,
  port: number,
  isReady: (status: RelayStatus) => boolean = ({ Endpoints }) => Endpoints.length > 0,
): Promise<RelayStatus> {
  const result = await agent.cli('set', '--relay-server-port', String(port))
  if (result.status !== 0) throw new Error(`${agent.hostname}: set: ${result.stderr}`)
  let last: RelayStatus | undefined
  return until(
    async () => {
      last = await relayStatus(agent)
      return last.State === 'running' && isReady(last) ? last : undefined
    },
    {
      timeoutMs: 30_000,
      what: `${agent.hostname} to relay`,
      explain: () => `last: ${JSON.stringify(last)}\n${agent.log().slice(-3_000)}`,
    },
  )
}

export interface RelayTest {
  readonly failing: string | undefined
  /** What the capacity step measured. */
  readonly bytesPerSecond: number | undefined
  result(step: string): string | undefined
  /** All of it, as printed. */
  readonly text: string
}

export async function relayTest(agent: PeerwayAgent): Promise<RelayTest> {
  const { stdout, stderr } = await agent.cli('relay', 'test', '--json')
  if (stdout === '') throw new Error(`${agent.hostname}: relay test: ${stderr}`)
  const found = JSON.parse(stdout) as {
    Steps: readonly { readonly Step: string; readonly Result: string; readonly BytesPerSecond?: number }[]
    Failing: string | null
  }
  return {
    failing: found.Failing ?? undefined,
    bytesPerSecond: found.Steps.find(({ Step }) => Step === 'capacity')?.BytesPerSecond,
    result: (step) => found.Steps.find(({ Step }) => Step === step)?.Result,
    text: stdout,
  }
}
