import type { SetArgument } from '../contract/calls.ts'
import {
  agentOptionHelp,
  agentOptions,
  type Command,
  type CommandCall,
  DONE,
  portOption,
  stringOption,
  UsageError,
} from './command.ts'
import { parseRate } from './rate.ts'
import { agentOf } from './talk.ts'

const RELAY_PORT = 'relay-server-port'
const RELAY_ENDPOINTS = 'relay-server-static-endpoints'
const RELAY_LIMIT = 'relay-limit'

export const set: Command = {
  name: 'set',
  summary: 'Changes settings of this machine without logging in again.',
  usage: [`set [--${RELAY_PORT} N] [--${RELAY_ENDPOINTS} IP:PORT,…] [--${RELAY_LIMIT} RATE]`],
  help: {
    [RELAY_PORT]: `--${RELAY_PORT} N   relay for others on this UDP port; 0 picks one, '' turns it off`,
    [RELAY_ENDPOINTS]: `--${RELAY_ENDPOINTS} IP:PORT,…   addresses to offer besides those found; '' for none`,
    [RELAY_LIMIT]: `--${RELAY_LIMIT} RATE      most that is relayed, such as 2MB/s or 20mbit; 0 for no limit`,
    ...agentOptionHelp,
  },
  example: `peerway set --${RELAY_PORT} 40000 --${RELAY_LIMIT} 20mbit`,
  options: {
    ...agentOptions,
    [RELAY_PORT]: { type: 'string' },
    [RELAY_ENDPOINTS]: { type: 'string' },
    [RELAY_LIMIT]: { type: 'string' },
  },
  positionals: [0, 0],
  async run(call) {
    const wish = settingsOf(call)
    if (Object.values(wish).every((value) => value === undefined))
      throw new UsageError('Say what to set; "peerway help set" lists it.')
    await agentOf(call).call('agent.set', wish)
    return DONE
  },
}

export function settingsOf(call: CommandCall): SetArgument {
  const port = stringOption(call, RELAY_PORT)
  const endpoints = stringOption(call, RELAY_ENDPOINTS)
  return {
    relayServer: port === undefined ? undefined : { port: port === '' ? undefined : portOption(call, RELAY_PORT, 0) },
    relayServerStaticEndpoints: endpoints
      ?.split(',')
      .map((text) => text.trim())
      .filter((text) => text !== ''),
    relayLimitBytesPerSecond: rateOption(stringOption(call, RELAY_LIMIT)),
  }
}

function rateOption(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const rate = text === '' ? 0 : parseRate(text)
  if (rate === undefined)
    throw new UsageError(`--${RELAY_LIMIT} takes a rate such as 2MB/s, 500k or 20mbit, not "${text}".`)
  return rate
}
