import { LocalApi } from '../agent/local-api.ts'
import { openAgent } from '../agent/open-agent.ts'
import { type Proxy, type ProxyOptions, startHttpProxy, startSocks5 } from '../agent/proxy/proxies.ts'
import { stderrLogger } from '../base/log.ts'
import { defaultSocketPath, defaultStateDir } from '../os/host.ts'
import {
  agentOptionHelp,
  agentOptions,
  type Command,
  type CommandCall,
  DONE,
  portOption,
  print,
  stringOption,
  UsageError,
} from './command.ts'
import { untilTold } from './signals.ts'

export const agent: Command = {
  name: 'agent',
  summary: 'Runs the mesh agent in the foreground (the app runs the same one inside).',
  usage: ['agent [--state DIR] [--socket PATH] [--tun NAME] [--port N] [--socks5 ADDR] [--http-proxy ADDR]'],
  help: {
    state: '--state DIR        where keys and settings live',
    ...agentOptionHelp,
    tun: '--tun NAME         name of the network device (peerway0)',
    port: '--port N           UDP port for direct paths (0 picks one)',
    socks5: '--socks5 ADDR      a SOCKS5 proxy into the network, such as 127.0.0.1:1080',
    'http-proxy': '--http-proxy ADDR  the same as an HTTP proxy',
  },
  example: 'sudo peerway agent --port 41641',
  options: {
    ...agentOptions,
    state: { type: 'string' },
    tun: { type: 'string' },
    port: { type: 'string' },
    socks5: { type: 'string' },
    'http-proxy': { type: 'string' },
  },
  positionals: [0, 0],
  async run(call) {
    const tunName = stringOption(call, 'tun') ?? 'peerway0'
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
    const proxies = await openProxies(call, { log: log.scoped('proxy'), snapshot: () => node.snapshot() }).catch(
      async (error: unknown) => {
        await api.close()
        await node.close()
        throw error
      },
    )
    print('ready')
    await untilTold()
    for (const proxy of proxies) proxy.close()
    await api.close()
    await node.close()
    return DONE
  },
}

async function openProxies(call: CommandCall, options: ProxyOptions): Promise<readonly Proxy[]> {
  const opened: Proxy[] = []
  try {
    const [socks5, http] = [stringOption(call, 'socks5'), stringOption(call, 'http-proxy')]
    if (socks5) opened.push(await startSocks5(socks5, options))
    if (http) opened.push(await startHttpProxy(http, options))
    return opened
  } catch (error) {
    for (const proxy of opened) proxy.close()
    throw error
  }
}
