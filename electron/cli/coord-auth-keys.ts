import type { AuthKeyInfo } from '../coord/admin/admin-types.ts'
import { adminOptionHelp, adminOptions, answer, ask, list, when } from './coord-admin.ts'
import { type Command, durationOption, stringOption } from './command.ts'

const DAY_MS = 24 * 3_600_000

export const authKeysCreate: Command = {
  name: 'coord auth-keys create',
  summary: 'Makes a key with which a device joins without a login page, and prints it once.',
  usage: [
    'coord auth-keys create [--user NAME] [--reusable] [--ephemeral] [--pre-approved] [--tags tag:a,tag:b] [--expiry D]',
  ],
  help: {
    user: '--user NAME        whose device it will be; needed only where there are several users',
    reusable: '--reusable         for more than one device',
    ephemeral: '--ephemeral        devices that are forgotten soon after they go offline',
    'pre-approved': '--pre-approved     its devices need no approval, where the tailnet lets keys say so',
    tags: '--tags LIST        the device belongs to these tags instead of a person',
    expiry: '--expiry D         until when the key can be used (24h; at most 365d)',
    ...adminOptionHelp,
  },
  example: 'peerway coord auth-keys create --user anna --expiry 1h',
  options: {
    ...adminOptions,
    user: { type: 'string' },
    reusable: { type: 'boolean' },
    ephemeral: { type: 'boolean' },
    'pre-approved': { type: 'boolean' },
    tags: { type: 'string' },
    expiry: { type: 'string' },
  },
  positionals: [0, 0],
  async run(call) {
    const key = await ask(call, 'auth-keys.create', {
      user: stringOption(call, 'user'),
      reusable: call.values['reusable'] === true,
      ephemeral: call.values['ephemeral'] === true,
      preApproved: call.values['pre-approved'] === true,
      tags: (stringOption(call, 'tags') ?? '').split(',').filter((tag) => tag !== ''),
      lifeMs: durationOption(call, 'expiry', DAY_MS),
    })
    return answer(call, key, ({ key }) => key)
  },
}

export const authKeysList: Command = {
  help: adminOptionHelp,
  options: adminOptions,
  name: 'coord auth-keys list',
  summary: 'Lists the auth keys, without their secrets.',
  usage: ['coord auth-keys list [--json]'],
  example: 'peerway coord auth-keys list',
  positionals: [0, 0],
  async run(call) {
    return answer(call, await ask(call, 'auth-keys.list', {}), (keys) =>
      keys.length === 0
        ? 'There are no auth keys. Make one with: peerway coord auth-keys create'
        : list(['ID', 'USER', 'KIND', 'STATE', 'EXPIRES', 'USED'], keys, (key: AuthKeyInfo) => [
            key.id,
            key.tags.length > 0 ? key.tags.join(',') : key.user,
            [key.reusable ? 'reusable' : 'one use', ...(key.ephemeral ? ['ephemeral'] : [])].join(', '),
            key.state,
            when(key.expiresAt),
            when(key.usedAt),
          ]),
    )
  },
}

export const authKeysRevoke: Command = {
  help: adminOptionHelp,
  options: adminOptions,
  name: 'coord auth-keys revoke',
  summary: 'Ends the life of an auth key; devices that joined with it stay.',
  usage: ['coord auth-keys revoke ID'],
  example: 'peerway coord auth-keys revoke 0k2v9c6d1x3z',
  positionals: [1, 1],
  async run(call) {
    const [id] = call.positionals
    await ask(call, 'auth-keys.revoke', { id })
    return answer(call, { revoked: id }, () => 'The auth key is revoked.')
  },
}
