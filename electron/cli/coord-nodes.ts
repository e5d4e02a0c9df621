import type { NodeInfo } from '../coord/admin/admin-types.ts'
import { adminOptionHelp, adminOptions, answer, ask, list, when } from './coord-admin.ts'
import { type Command, durationOption, stringOption, switchOption, UsageError } from './command.ts'

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
  summary: 'Lets a device go on that waits, or in at its login page; without either, lists those that wait.',
  usage: ['coord nodes approve NODE', 'coord nodes approve --login ID --user NAME', 'coord nodes approve'],
  help: {
    login: '--login ID         from the login page, or its whole address',
    user: '--user NAME        whose device it is',
    ...adminOptionHelp,
  },
  example: 'peerway coord nodes approve laptop',
  options: { ...adminOptions, login: { type: 'string' }, user: { type: 'string' } },
  positionals: [0, 1],
  async run(call) {
    const [which] = call.positionals
    const login = stringOption(call, 'login')
    const user = stringOption(call, 'user')
    if (which !== undefined) {
      if (login !== undefined) throw new UsageError('Name a device or a login, not both.')
      return answer(call, await ask(call, 'nodes.approve', { node: which }), ({ name }) => `${name} is approved.`)
    }
    if (login !== undefined) {
      if (user === undefined) throw new UsageError('Whose device is it? Name a user with --user.')
      const node = await ask(call, 'logins.approve', { login, user })
      return answer(call, node, ({ name, user }) => `${name} is in, as a device of ${user}.`)
    }
    const logins = await ask(call, 'logins.list', {})
    const nodes = (await ask(call, 'nodes.list', {})).filter(({ approved }) => !approved)
    const rows = [
      ...logins.map((one) => ({ ...one, which: `--login ${one.id} --user NAME` })),
      ...nodes.map((one) => ({ ...one, which: one.name, source: one.user })),
    ]
    return answer(call, call.values['json'] === true ? [...logins, ...nodes] : rows, () =>
      rows.length === 0
        ? 'No device waits for approval.'
        : list(['APPROVE', 'DEVICE', 'FROM', 'SINCE'], rows, (one) => [
            one.which,
            one.hostname || '-',
            one.source,
            when(one.createdAt),
          ]),
    )
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
  usage: ['coord nodes expire NODE [--in D | --never]'],
  help: {
    in: '--in D             not now but after D, such as 90d',
    never: '--never            it never has to; also for one whose key has run out',
    ...adminOptionHelp,
  },
  example: 'peerway coord nodes expire laptop',
  options: { ...adminOptions, in: { type: 'string' }, never: { type: 'boolean' } },
  positionals: [1, 1],
  async run(call) {
    const [node] = call.positionals
    const never = call.values['never'] === true
    const args = { node, never, afterMs: durationOption(call, 'in', 0) }
    return answer(call, await ask(call, 'nodes.expire', args), ({ name, expired, expiresAt }) =>
      expired
        ? `${name} must log in again.`
        : expiresAt === undefined
          ? `${name} never has to log in again.`
          : `${name} must log in again on ${when(expiresAt)}.`,
    )
  },
}

export const nodesTag: Command = {
  ...base,
  name: 'coord nodes tag',
  summary: "Gives a node tags; it is nobody's then, and its key never runs out.",
  usage: ['coord nodes tag NODE tag:a,tag:b', 'coord nodes tag NODE --none'],
  help: { none: "--none             takes all tags: the node is its person's again", ...adminOptionHelp },
  example: 'peerway coord nodes tag nas tag:server',
  options: { ...adminOptions, none: { type: 'boolean' } },
  positionals: [1, 65],
  async run(call) {
    const [node, ...rest] = call.positionals
    const tags = rest.flatMap((text) => text.split(',')).filter((tag) => tag !== '')
    if ((tags.length === 0) !== (call.values['none'] === true))
      throw new UsageError('Name the tags the node shall have, or take all with --none.')
    return answer(call, await ask(call, 'nodes.tag', { node, tags }), ({ name, user, tags }) =>
      tags.length === 0 ? `${name} is a device of ${user}.` : `${name} has ${tags.join(', ')}.`,
    )
  },
}

export const nodesMove: Command = {
  ...base,
  name: 'coord nodes move',
  summary: 'Gives a node to another user; its name and addresses stay.',
  usage: ['coord nodes move NODE USER'],
  example: 'peerway coord nodes move laptop ben',
  positionals: [2, 2],
  async run(call) {
    const [node, user] = call.positionals
    const moved = await ask(call, 'nodes.move', { node, user })
    return answer(call, moved, ({ name, user }) => `${name} is a device of ${user} now.`)
  },
}

export const nodesKeys: Command = {
  ...base,
  name: 'coord nodes keys',
  summary: 'Shows or sets how long the login of a device counts.',
  usage: ['coord nodes keys [--lifetime D|never] [--renew on|off]'],
  help: {
    lifetime: '--lifetime D|never for logins from now on, such as 180d',
    renew: '--renew on|off     a device that is there when half of it is over gets all of it again (on)',
    ...adminOptionHelp,
  },
  example: 'peerway coord nodes keys --lifetime 180d',
  options: { ...adminOptions, lifetime: { type: 'string' }, renew: { type: 'string' } },
  positionals: [0, 0],
  async run(call) {
    const lifetime = stringOption(call, 'lifetime')
    const renew = switchOption(call, 'renew')
    const wish = {
      ...(lifetime !== undefined && {
        lifetimeMs: lifetime === 'never' ? null : durationOption(call, 'lifetime', 0),
      }),
      ...(renew !== undefined && { renew }),
    }
    const settings = await (Object.keys(wish).length === 0
      ? ask(call, 'node-keys.get', {})
      : ask(call, 'node-keys.set', wish))
    return answer(call, settings, ({ lifetimeMs, renew }) =>
      lifetimeMs === undefined
        ? 'Logins count for ever.'
        : `A login counts for ${Math.round(lifetimeMs / 3_600_000)} hours${renew ? ', and longer while the device is in use' : ''}.`,
    )
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
  if (!node.approved) return 'waits for approval'
  if (node.expired) return 'expired'
  if (node.online) return 'online'
  return node.lastSeen === undefined ? 'offline' : `offline since ${when(node.lastSeen)}`
}
