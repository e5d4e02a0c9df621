import { adminOptionHelp, adminOptions, answer, ask } from './coord-admin.ts'
import { type Command, durationOption, stringOption, switchOption } from './command.ts'

const HOUR_MS = 3_600_000

export const coordSettings: Command = {
  name: 'coord settings',
  summary: 'Shows or changes what holds for all devices of a tailnet.',
  usage: [
    'coord settings [--device-approval off|always|unless-pre-approved] [--key-lifetime D|never] [--key-renewal on|off]',
  ],
  help: {
    'device-approval':
      '--device-approval M  new devices wait until somebody approves them; pre-approved keys may let in',
    'key-lifetime': '--key-lifetime D|never  for logins from now on, such as 180d',
    'key-renewal': '--key-renewal on|off  a device that is there when half of it is over gets all of it again',
    ...adminOptionHelp,
  },
  example: 'peerway coord settings --device-approval unless-pre-approved',
  options: {
    ...adminOptions,
    'device-approval': { type: 'string' },
    'key-lifetime': { type: 'string' },
    'key-renewal': { type: 'string' },
  },
  positionals: [0, 0],
  async run(call) {
    const deviceApproval = stringOption(call, 'device-approval')
    const lifetime = stringOption(call, 'key-lifetime')
    const keyRenewal = switchOption(call, 'key-renewal')
    const wish = {
      ...(deviceApproval !== undefined && { deviceApproval }),
      ...(lifetime !== undefined && {
        keyLifetimeMs: lifetime === 'never' ? null : durationOption(call, 'key-lifetime', 0),
      }),
      ...(keyRenewal !== undefined && { keyRenewal }),
    }
    const settings = await (Object.keys(wish).length === 0
      ? ask(call, 'settings.get', {})
      : ask(call, 'settings.set', wish))
    return answer(call, settings, ({ tailnet, domain, deviceApproval, keyLifetimeMs, keyRenewal }) =>
      [
        `tailnet: ${tailnet}`,
        `names end in: ${domain}`,
        `device approval: ${deviceApproval}`,
        `key lifetime: ${keyLifetimeMs === undefined ? 'for ever' : `${Math.round(keyLifetimeMs / HOUR_MS)} hours`}`,
        `key renewal: ${keyRenewal ? 'on' : 'off'}`,
      ].join('\n'),
    )
  },
}
