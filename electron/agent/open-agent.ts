import { systemClock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import { openDataplane } from '../dataplane/native-dataplane.ts'
import { openRelayForwarder } from '../dataplane/native-relay-forwarder.ts'
import { hostFacts, openHostNetwork, openSystemDns } from '../os/host.ts'
import { onLinkEvents } from '../os/link-events.ts'
import { readMetered } from '../os/metered.ts'
import { watchNetwork } from '../os/network-watch.ts'
import { readPowerSource } from '../os/power.ts'
import { Agent } from './agent.ts'

export interface AgentPlace {
  readonly stateDir: string
  /** Name of the network device, at most 15 characters. */
  readonly tunName: string
  /** 0 lets the system pick one. */
  readonly udpPort: number
  readonly log: Logger
}

/** The agent on this very machine, with its real clock, device and network. */
export async function openAgent(place: AgentPlace): Promise<Agent> {
  const agent = await Agent.open({
    ...place,
    clock: systemClock,
    facts: hostFacts(),
    openDataplane,
    openRelayForwarder,
    openHostNetwork,
    openSystemDns: () => openSystemDns(place.stateDir),
    power: readPowerSource,
    metered: readMetered,
  })
  const unwatch = watchNetwork({
    clock: systemClock,
    events: (told) => onLinkEvents(systemClock, told),
    isOwn: (name) => name === place.tunName,
    onChange: (why) => {
      place.log.info('the network changed', { why })
      agent.linkChanged()
    },
  })
  agent.onClose(unwatch)
  return agent
}
