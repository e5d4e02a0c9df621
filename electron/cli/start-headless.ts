// What `npm start` runs where there is no display: the same as the app does, without a window.

import { LocalApi } from '../agent/local-api.ts'
import { openAgent } from '../agent/open-agent.ts'
import { messageOf } from '../base/errors.ts'
import { stderrLogger } from '../base/log.ts'
import { OwnNetwork } from '../coord-host/own-network.ts'
import { defaultSocketPath, defaultStateDir } from '../os/host.ts'
import { agentOptionHelp, agentOptions, type Command, DONE, portOption, print, stringOption } from './command.ts'
import { untilTold } from './signals.ts'

export const startHeadless: Command = {
  name: 'start-headless',
  summary: 'Runs the agent and the network of this computer without a window.',
  usage: ['start-headless [--state DIR] [--socket PATH] [--tun NAME] [--port N] [--no-own-network]'],
  help: {
    state: '--state DIR        where keys and settings live',
    ...agentOptionHelp,
    tun: '--tun NAME         name of the network device (peerway0)',
    port: '--port N           UDP port for direct paths (0 picks one)',
    'no-own-network': '--no-own-network   only the agent; join a network with "peerway up"',
  },
  example: 'sudo npm start',
  options: {
    ...agentOptions,
    state: { type: 'string' },
    tun: { type: 'string' },
    port: { type: 'string' },
    'no-own-network': { type: 'boolean' },
  },
  positionals: [0, 0],
  async run(call) {
    const log = stderrLogger()
    const stateDir = stringOption(call, 'state') ?? defaultStateDir()
    const socketPath = stringOption(call, 'socket') ?? defaultSocketPath()
    await LocalApi.assertFree(socketPath)
    const own = new OwnNetwork({ stateDir, log })
    const view = call.values['no-own-network'] === true ? own.view : await own.start(undefined)
    const node = await openAgent({
      stateDir,
      tunName: stringOption(call, 'tun') ?? 'peerway0',
      udpPort: portOption(call, 'port', 0),
      log,
    })
    const api = await LocalApi.listen(socketPath, node, log.scoped('local-api'))
    print('Peerway runs without a window; there is no display here.')
    if (view.joinUrl !== undefined) {
      print(`This computer's own network: ${view.joinUrl}`)
      if (!view.ownerCanSignIn)
        print(`Its console: set how you sign in, on this computer: ${await own.signInSetupUrl()}`)
      else print(`Its console: ${view.joinUrl}/`)
      // A machine that has never joined any network joins its own: that is what starting is for.
      if (node.snapshot().tailnet === undefined && node.snapshot().state === 'needs-login' && !node.hasLogins())
        await node.handlers['agent.up']({ ...(await own.ownKey()), hostname: undefined, forceReauth: undefined })
      const { serverUrl, authKey } = await own.invite()
      print(`To join another machine, there: peerway up --login-server ${serverUrl} --auth-key ${authKey}`)
    }
    print('Look at it with: npx peerway status')
    print('ready')
    let told: string | undefined
    node.onSnapshot(({ problem }) => {
      if (problem && problem.code !== told) process.stderr.write(`${problem.message} [${problem.code}]\n`)
      told = problem?.code
    })
    await untilTold()
    await api.close()
    await node.close()
    await own.close().catch((error: unknown) => log.warn('closing the own network failed', { error: messageOf(error) }))
    return DONE
  },
}
