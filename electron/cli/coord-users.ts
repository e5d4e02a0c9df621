import { CodedError } from '../base/errors.ts'
import type { EnrolLinkInfo, UserInfo } from '../coord/admin/admin-types.ts'
import { adminOptionHelp, adminOptions, answer, ask, list, when } from './coord-admin.ts'
import { type Command, type CommandCall, remark, stringOption } from './command.ts'

const base = { help: adminOptionHelp, options: adminOptions }

export const usersList: Command = {
  ...base,
  name: 'coord users list',
  summary: 'Lists the users of the server.',
  usage: ['coord users list [--json]'],
  example: 'peerway coord users list',
  positionals: [0, 0],
  async run(call) {
    return answer(call, await ask(call, 'users.list', {}), (users) =>
      users.length === 0
        ? 'There are no users yet. Make the first, who will be the owner: peerway coord users create NAME'
        : list(['ID', 'NAME', 'ROLE', 'NODES', 'CREATED'], users, (user: UserInfo) => [
            String(user.id),
            user.name,
            user.role,
            String(user.nodes),
            when(user.createdAt),
          ]),
    )
  },
}

export const usersCreate: Command = {
  name: 'coord users create',
  summary: 'Makes a user; the first one is the owner.',
  usage: ['coord users create NAME [--email E] [--display-name N] [--role owner|admin|member|auditor]'],
  help: {
    email: '--email E          where the person gets mail',
    'display-name': '--display-name N   how people read it',
    role: '--role R           owner, admin, member (the default) or auditor',
    ...adminOptionHelp,
  },
  example: 'peerway coord users create anna --email anna@example.org',
  options: { ...adminOptions, email: { type: 'string' }, 'display-name': { type: 'string' }, role: { type: 'string' } },
  positionals: [1, 1],
  async run(call) {
    const [name] = call.positionals
    const user = await ask(call, 'users.create', {
      name,
      email: stringOption(call, 'email'),
      displayName: stringOption(call, 'display-name'),
      role: stringOption(call, 'role'),
    })
    return answer(call, user, ({ name, role }) => `User ${name} (${role}) is there.`)
  },
}

export const usersRename: Command = {
  ...base,
  name: 'coord users rename',
  summary: 'Gives a user another name.',
  usage: ['coord users rename NAME NEW-NAME'],
  example: 'peerway coord users rename anna anna.berg',
  positionals: [2, 2],
  async run(call) {
    const [name, to] = call.positionals
    return answer(call, await ask(call, 'users.rename', { name, to }), (user) => `The user is called ${user.name} now.`)
  },
}

export const usersRole: Command = {
  ...base,
  name: 'coord users role',
  summary: 'Gives a user another role, at once; the last owner stays one.',
  usage: ['coord users role NAME owner|admin|member|auditor'],
  example: 'peerway coord users role anna admin',
  positionals: [2, 2],
  async run(call) {
    const [name, role] = call.positionals
    return answer(call, await ask(call, 'users.role', { name, role }), (user) => `${user.name} is ${user.role} now.`)
  },
}

export const usersInvite: Command = {
  ...base,
  name: 'coord users invite',
  summary: 'Prints a one-time link with which a person sets how they sign in; makes the user where there is none.',
  usage: ['coord users invite NAME [--json]'],
  example: 'peerway coord users invite karin',
  positionals: [1, 1],
  async run(call) {
    const [name] = call.positionals
    return oneTimeLink(call, await ask(call, 'users.invite', { name }))
  },
}

export const usersReset: Command = {
  ...base,
  name: 'coord users reset',
  summary: 'Prints a one-time link for a user who can sign in no more; using it ends their passkeys and password.',
  usage: ['coord users reset NAME [--json]'],
  example: 'peerway coord users reset karin',
  positionals: [1, 1],
  async run(call) {
    const [name] = call.positionals
    return oneTimeLink(call, await ask(call, 'users.reset', { name }))
  },
}

export const usersSetupCode: Command = {
  ...base,
  name: 'coord users setup-code',
  summary: 'Prints the code with which the first account, the owner, is made at the server’s page.',
  usage: ['coord users setup-code [--json]'],
  example: 'peerway coord users setup-code',
  positionals: [0, 0],
  async run(call) {
    const setup = await ask(call, 'users.setup-code', {})
    if (setup === null)
      throw new CodedError(
        'coord/conflict',
        'The first account was made already. For who cannot sign in any more: peerway coord users reset NAME.',
      )
    if (setup.url !== undefined) remark(`The page with the code filled in: ${setup.url}`)
    return answer(call, setup, ({ code }) => code)
  },
}

function oneTimeLink(call: CommandCall, link: EnrolLinkInfo): number {
  remark(`Good once, until ${when(link.expiresAt)} UTC. Whoever opens it first is ${link.user}.`)
  return answer(call, link, ({ url }) => url)
}

export const usersDelete: Command = {
  ...base,
  name: 'coord users delete',
  summary: 'Deletes a user who has no nodes, and the auth keys of that user.',
  usage: ['coord users delete NAME'],
  example: 'peerway coord users delete anna',
  positionals: [1, 1],
  async run(call) {
    const [name] = call.positionals
    await ask(call, 'users.delete', { name })
    return answer(call, { deleted: name }, () => `User ${name ?? ''} is deleted.`)
  },
}
