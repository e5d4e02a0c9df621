import type { TailnetInfo } from '../coord/admin/admin-types.ts'
import { adminOptionHelp, adminOptions, answer, ask, list, when } from './coord-admin.ts'
import { type Command, stringOption } from './command.ts'

// They name their tailnet themselves.
const { tailnet: _option, ...options } = adminOptions
const { tailnet: _help, ...help } = adminOptionHelp

const tailnetsList: Command = {
  help,
  options,
  name: 'coord tailnets list',
  summary: 'Lists the tailnets of the server.',
  usage: ['coord tailnets list [--json]'],
  example: 'peerway coord tailnets list',
  positionals: [0, 0],
  async run(call) {
    return answer(call, await ask(call, 'tailnets.list', {}), (tailnets) =>
      list(['ID', 'NAME', 'DOMAIN', 'USERS', 'NODES', 'CREATED'], tailnets, (one: TailnetInfo) => [
        String(one.id),
        one.name,
        one.domain,
        String(one.users),
        String(one.nodes),
        when(one.createdAt),
      ]),
    )
  },
}

const tailnetsCreate: Command = {
  name: 'coord tailnets create',
  summary: 'Makes another tailnet, which knows nothing of the others on this server.',
  usage: ['coord tailnets create NAME [--domain D]'],
  help: { domain: '--domain D         what its node names hang under (NAME.peerway.internal)', ...help },
  example: 'peerway coord tailnets create office',
  options: { ...options, domain: { type: 'string' } },
  positionals: [1, 1],
  async run(call) {
    const [name] = call.positionals
    const made = await ask(call, 'tailnets.create', { name, domain: stringOption(call, 'domain') })
    return answer(
      call,
      made,
      ({ name }) =>
        `The tailnet ${name} is there. Its first user will own it: peerway coord users create NAME --tailnet ${name}`,
    )
  },
}

const tailnetsRename: Command = {
  help,
  options,
  name: 'coord tailnets rename',
  summary: 'Gives a tailnet another name; names of its nodes stay.',
  usage: ['coord tailnets rename NAME NEW-NAME'],
  example: 'peerway coord tailnets rename office workshop',
  positionals: [2, 2],
  async run(call) {
    const [name, to] = call.positionals
    return answer(call, await ask(call, 'tailnets.rename', { name, to }), ({ name }) => `The tailnet is ${name} now.`)
  },
}

const tailnetsDelete: Command = {
  help,
  options,
  name: 'coord tailnets delete',
  summary: 'Deletes a tailnet nobody is in any more, with its policy.',
  usage: ['coord tailnets delete NAME'],
  example: 'peerway coord tailnets delete office',
  positionals: [1, 1],
  async run(call) {
    const [name] = call.positionals
    await ask(call, 'tailnets.delete', { name })
    return answer(call, { deleted: name }, () => `The tailnet ${name ?? ''} is deleted.`)
  },
}

const tailnetsAddMember: Command = {
  name: 'coord tailnets add-member',
  summary: 'Lets a user of the server into another tailnet too; they sign in as before.',
  usage: ['coord tailnets add-member NAME USER [--role owner|admin|member|auditor]'],
  help: { role: '--role R           in that tailnet: owner, admin, member (the default) or auditor', ...help },
  example: 'peerway coord tailnets add-member office anna --role admin',
  options: { ...options, role: { type: 'string' } },
  positionals: [2, 2],
  async run(call) {
    const [name, user] = call.positionals
    const added = await ask(call, 'tailnets.add-member', { name, user, role: stringOption(call, 'role') })
    return answer(call, added, (info) => `${info.name} (${info.role}) is in the tailnet ${name ?? ''}.`)
  },
}

export const tailnetCommands: readonly Command[] = [
  tailnetsList,
  tailnetsCreate,
  tailnetsRename,
  tailnetsDelete,
  tailnetsAddMember,
]
