import type { SetArgument } from '../contract/calls.ts'
import {
  agentOptionHelp,
  agentOptions,
  type Command,
  type CommandCall,
  DONE,
  portOption,
  stringOption,
  switchOption,
  UsageError,
} from './command.ts'
import { routingHelp, routingOptions, routingWishOf } from './routing-options.ts'
import { parseRate, parseSize } from './rate.ts'
import { agentOf } from './talk.ts'

const RELAY_PORT = 'relay-server-port'
const RELAY_ENDPOINTS = 'relay-server-static-endpoints'
const RELAY_LIMIT = 'relay-limit'
const RELAY_QUOTA = 'relay-quota'
const RELAY_HOURS = 'relay-hours'
const RELAY_BATTERY = 'relay-pause-on-battery'
const RELAY_METERED = 'relay-pause-on-metered'
const PORT_MAPPING = 'port-mapping'

export const set: Command = {
  name: 'set',
  summary: 'Changes settings of this machine without logging in again.',
  usage: [
    `set [--${RELAY_PORT} N] [--${RELAY_ENDPOINTS} IP:PORT,…] [--${RELAY_LIMIT} RATE]`,
    `set [--${RELAY_QUOTA} SIZE] [--${RELAY_HOURS} HOURS] [--${RELAY_BATTERY} on|off] [--${RELAY_METERED} on|off]`,
    `set --${PORT_MAPPING} on|off`,
    'set [--accept-routes] [--advertise-routes CIDR,…] [--advertise-exit-node] [--advertise-tags TAG,…] [--shields-up]',
  ],
  help: {
    [RELAY_PORT]: `--${RELAY_PORT} N   relay for others on this UDP port; 0 picks one, '' turns it off`,
    [RELAY_ENDPOINTS]: `--${RELAY_ENDPOINTS} IP:PORT,…   addresses to offer besides those found; '' for none`,
    [RELAY_LIMIT]: `--${RELAY_LIMIT} RATE      most that is relayed, such as 2MB/s or 20mbit; 0 for no limit`,
    [RELAY_QUOTA]: `--${RELAY_QUOTA} SIZE      most that is relayed in a calendar month, such as 200GB; 0 for no limit`,
    [RELAY_HOURS]: `--${RELAY_HOURS} HOURS     when it relays, such as 'mon-fri 22:00-07:00; sat,sun'; '' for always`,
    [RELAY_BATTERY]: `--${RELAY_BATTERY} on|off   no relaying while this machine runs on battery (on)`,
    [RELAY_METERED]: `--${RELAY_METERED} on|off   no relaying in a network that costs by volume (on)`,
    [PORT_MAPPING]: `--${PORT_MAPPING} on|off   ask the home router to forward ports to this machine (on)`,
    ...routingHelp,
    ...agentOptionHelp,
  },
  example: `peerway set --${RELAY_PORT} 40000 --${RELAY_LIMIT} 20mbit --${RELAY_QUOTA} 200GB`,
  options: {
    ...agentOptions,
    [RELAY_PORT]: { type: 'string' },
    [RELAY_ENDPOINTS]: { type: 'string' },
    [RELAY_LIMIT]: { type: 'string' },
    [RELAY_QUOTA]: { type: 'string' },
    [RELAY_HOURS]: { type: 'string' },
    [RELAY_BATTERY]: { type: 'string' },
    [RELAY_METERED]: { type: 'string' },
    [PORT_MAPPING]: { type: 'string' },
    ...routingOptions,
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
    relayLimitBytesPerSecond: amountOption(call, RELAY_LIMIT, parseRate, 'a rate such as 2MB/s, 500k or 20mbit'),
    relayMonthlyBytes: amountOption(call, RELAY_QUOTA, parseSize, 'a size such as 200GB or 50G'),
    relayHours: hoursOption(stringOption(call, RELAY_HOURS)),
    relayPauseOnBattery: switchOption(call, RELAY_BATTERY),
    relayPauseOnMetered: switchOption(call, RELAY_METERED),
    portMapping: switchOption(call, PORT_MAPPING),
    routing: routingWishOf(call),
  }
}

/** Empty is 0: no limit. */
function amountOption(
  call: CommandCall,
  name: string,
  parse: (text: string) => number | undefined,
  form: string,
): number | undefined {
  const text = stringOption(call, name)
  if (text === undefined) return undefined
  const amount = text === '' ? 0 : parse(text)
  if (amount === undefined) throw new UsageError(`--${name} takes ${form}, not "${text}".`)
  return amount
}

/** The agent judges them; what cannot be sent at all is told here. */
function hoursOption(text: string | undefined): string | undefined {
  if (text !== undefined && text.length > MOST_HOURS_TEXT)
    throw new UsageError(`--${RELAY_HOURS} takes at most ${MOST_HOURS_TEXT} characters.`)
  return text === 'always' ? '' : text
}

const MOST_HOURS_TEXT = 200
