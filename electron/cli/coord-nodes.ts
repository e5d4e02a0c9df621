import type { NodeInfo } from '../coord/admin/admin-types.ts'
import { adminOptionHelp, adminOptions, answer, ask, list, when } from './coord-admin.ts'
import { type Command, stringOption, UsageError } from './command.ts'

const base = { help: adminOptionHelp, options: adminOptions }

export const nodesList: Command = {
  ...base,
  name: 'coord nodes list',
  summary: 'Lists the nodes of the tailnet.',
  usage: ['coord nodes list [--json]'],
  example: 'peerway coord nodes list',
  positionals: [0, 0],
  async run(call) {
    return answer(call, await ask(call, 'nodes.list', {}), (nodes) =>
      nodes.length === 0
        ? 'There are no nodes yet. Make a key for the first with: peerway coord auth-keys create'
        : list(['ID', 'NAME', 'USER', 'ADDRESS', 'STATE', 'VERSION'], nodes, (node: NodeInfo) => [
            String(node.id),
            node.name,
            node.tags.length > 0 ? node.tags.join(',') : node.user,
            node.addresses[0] ?? '-',
            stateOf(node),
            node.clientVersion || '-',
          ]),
    )
  },
}

export const nodesShow: Command = {
  ...base,
  name: 'coord nodes show',
  summary: 'Shows what the server knows of a node.',
  usage: ['coord nodes show NODE [--json]', 'NODE is a name, an address or an id.'],
  example: 'peerway coord nodes show laptop --json',
  positionals: [1, 1],
  async run(call) {
    const [node] = call.positionals
    return answer(call, await ask(call, 'nodes.show', { node }), (info) =>
      Object.entries(info)
        .map(([name, value]) => `${name}: ${Array.isArray(value) ? value.join(', ') : String(value)}`)
        .join('\n'),
    )
  },
}

export const nodesApprove: Command = {
  name: 'coord nodes approve',
  summary: 'Lets in a device that waits at its login page; without --login, lists those that wait.',
  usage: ['coord nodes approve --login ID --user NAME', 'coord nodes approve'],
  help: {
    login: '--login ID         from the login page, or its whole address',
    user: '--user NAME        whose device it is',
    ...adminOptionHelp,
  },
  example: 'peerway coord nodes approve --login 5Kq0vW3nT1m8sYxZ2bRcEA --user anna',
  options: { ...adminOptions, login: { type: 'string' }, user: { type: 'string' } },
  positionals: [0, 0],
  async run(call) {
    const login = stringOption(call, 'login')
    const user = stringOption(call, 'user')
    if (login === undefined) {
      return answer(call, await ask(call, 'logins.list', {}), (logins) =>
        logins.length === 0
          ? 'No device waits for approval.'
          : list(['LOGIN', 'DEVICE', 'FROM', 'SINCE'], logins, (one) => [
              one.id,
              one.hostname || '-',
              one.source,
              when(one.createdAt),
            ]),
      )
    }
    if (user === undefined) throw new UsageError('Whose device is it? Name a user with --user.')
    const node = await ask(call, 'logins.approve', { login, user })
    return answer(call, node, ({ name, user }) => `${name} is in, as a device of ${user}.`)
  },
}

export const nodesRename: Command = {
  ...base,
  name: 'coord nodes rename',
  summary: 'Gives a node another name in DNS.',
  usage: ['coord nodes rename NODE NEW-NAME'],
  example: 'peerway coord nodes rename laptop-1 annas-laptop',
  positionals: [2, 2],
  async run(call) {
    const [node, to] = call.positionals
    return answer(call, await ask(call, 'nodes.rename', { node, to }), ({ dnsName }) => `The node is ${dnsName} now.`)
  },
}

export const nodesExpire: Command = {
  ...base,
  name: 'coord nodes expire',
  summary: 'Makes a node log in again before it can go on.',
  usage: ['coord nodes expire NODE'],
  example: 'peerway coord nodes expire laptop',
  positionals: [1, 1],
  async run(call) {
    const [node] = call.positionals
    return answer(call, await ask(call, 'nodes.expire', { node }), ({ name }) => `${name} must log in again.`)
  },
}

export const nodesDelete: Command = {
  ...base,
  name: 'coord nodes delete',
  summary: 'Removes a node from the tailnet.',
  usage: ['coord nodes delete NODE'],
  example: 'peerway coord nodes delete old-laptop',
  positionals: [1, 1],
  async run(call) {
    const [node] = call.positionals
    await ask(call, 'nodes.delete', { node })
    return answer(call, { deleted: node }, () => `Node ${node ?? ''} is deleted.`)
  },
}

function stateOf(node: NodeInfo): string {
  if (node.expired) return 'expired'
  if (node.online) return 'online'
  return node.lastSeen === undefined ? 'offline' : `offline since ${when(node.lastSeen)}`
}
