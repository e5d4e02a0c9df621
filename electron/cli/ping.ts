import { CodedError, isCoded } from '../base/errors.ts'
import { delay } from '../base/deadline.ts'
import type { PingReply } from '../contract/calls.ts'
import {
  agentOptionHelp,
  agentOptions,
  type Command,
  DONE,
  durationOption,
  FAILED,
  print,
  stringOption,
  UsageError,
} from './command.ts'
import { agentOf } from './talk.ts'

export const ping: Command = {
  name: 'ping',
  summary: 'Pings a machine below its system: each pong says which path it took.',
  usage: ['ping [--c N] [--until-direct=false] [--timeout D] [--json] NODE'],
  help: {
    c: '--c N              stop after N pongs (10; 0 for no end)',
    'until-direct': '--until-direct     stop at the first direct pong (the default)',
    timeout: '--timeout D        wait this long for each pong (5s)',
    json: '--json             one JSON document a pong',
    ...agentOptionHelp,
  },
  example: 'peerway ping nas',
  options: {
    ...agentOptions,
    c: { type: 'string' },
    'until-direct': { type: 'boolean' },
    'no-until-direct': { type: 'boolean' },
    timeout: { type: 'string' },
    json: { type: 'boolean' },
  },
  positionals: [1, 1],
  async run(call) {
    const agent = agentOf(call)
    const countText = stringOption(call, 'c') ?? '10'
    if (!/^\d{1,9}$/.test(countText)) throw new UsageError(`--c takes a number, not "${countText}".`)
    const count = countText === '0' ? Number.POSITIVE_INFINITY : Number(countText)
    const untilDirect = call.values['no-until-direct'] !== true
    const timeoutMs = Math.min(Math.max(durationOption(call, 'timeout', 5_000), 1), 60_000)
    const target = call.positionals[0] ?? ''
    let pongs = 0
    let lost = 0
    for (let sent = 0; sent < count; sent++) {
      if (sent > 0) await delay(1_000)
      try {
        const pong = await agent.call('agent.ping', { target, timeoutMs })
        pongs++
        if (call.values['json'] === true) print(JSON.stringify(pong))
        else print(`pong from ${pong.node} (${pong.address}) via ${wayOf(pong)} in ${formatMs(pong.latencyMs)}`)
        if (untilDirect && pong.kind === 'direct') return DONE
      } catch (error) {
        if (!isCoded(error, 'path/no-answer')) throw error
        lost++
        if (call.values['json'] !== true) print(`no answer within ${timeoutMs} ms`)
      }
    }
    if (pongs === 0)
      throw new CodedError('cli/no-answer', `${target} did not answer ${lost} ${lost === 1 ? 'ping' : 'pings'}.`)
    if (untilDirect) {
      // As in the reference, an answered ping that never went direct is told apart by the exit status.
      process.stderr.write('No direct path was found; the machine answers through a relay. [cli/not-direct]\n')
      return FAILED
    }
    return DONE
  },
}

function wayOf({ kind, via }: PingReply): string {
  return kind === 'direct' ? via : `${kind === 'derp' ? 'DERP' : 'relay'}(${via})`
}

const formatMs = (ms: number): string => (ms < 10 ? `${ms.toFixed(1)}ms` : `${Math.round(ms)}ms`)
