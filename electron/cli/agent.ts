import { LocalApi } from '../agent/local-api.ts'
import { openAgent } from '../agent/open-agent.ts'
import { stderrLogger } from '../base/log.ts'
import { defaultSocketPath, defaultStateDir } from '../os/host.ts'
import {
  agentOptionHelp,
  agentOptions,
  type Command,
  DONE,
  portOption,
  print,
  stringOption,
  UsageError,
} from './command.ts'
import { later } from './later.ts'
import { untilTold } from './signals.ts'

const notYet = later({ socks5: 'string', 'http-proxy': 'string' })

export const agent: Command = {
  name: 'agent',
  summary: 'Runs the mesh agent in the foreground (the app runs the same one inside).',
  usage: ['agent [--state DIR] [--socket PATH] [--tun NAME] [--port N]'],
  help: {
    state: '--state DIR        where keys and settings live',
    ...agentOptionHelp,
    tun: '--tun NAME         name of the network device (peerway0)',
    port: '--port N           UDP port for direct paths (0 picks one)',
  },
  example: 'sudo peerway agent --port 41641',
  options: {
    ...agentOptions,
    state: { type: 'string' },
    tun: { type: 'string' },
    port: { type: 'string' },
    ...notYet.options,
  },
  positionals: [0, 0],
  async run(call) {
    const tunName = stringOption(call, 'tun') ?? 'peerway0'
    notYet.refuse(call)
    if (tunName === 'userspace')
      throw new UsageError('--tun userspace is not there yet: give the name of a device, such as peerway0.')
    if (!/^[A-Za-z][A-Za-z0-9_.-]{0,14}$/.test(tunName))
      throw new UsageError(`--tun takes a device name of at most 15 letters and digits, not "${tunName}".`)
    const log = stderrLogger()
    const socketPath = stringOption(call, 'socket') ?? defaultSocketPath()
    await LocalApi.assertFree(socketPath)
    const node = await openAgent({
      stateDir: stringOption(call, 'state') ?? defaultStateDir(),
      tunName,
      udpPort: portOption(call, 'port', 0),
      log,
    })
    const api = await LocalApi.listen(socketPath, node, log.scoped('local-api')).catch(async (error: unknown) => {
      await node.close()
      throw error
    })
    print('ready')
    await untilTold()
    await api.close()
    await node.close()
    return DONE
  },
}
