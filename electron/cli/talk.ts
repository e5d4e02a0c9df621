import { AgentClient } from '../agent/client/agent-client.ts'
import { defaultSocketPath } from '../os/host.ts'
import { type CommandCall, stringOption } from './command.ts'

/** The agent that `--socket` (or the default) names. */
export function agentOf(call: CommandCall): AgentClient {
  return new AgentClient(stringOption(call, 'socket') ?? defaultSocketPath())
}
