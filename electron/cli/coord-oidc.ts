// `peerway coord oidc …`: providers by whose accounts people sign in, and how to leave one.

import type { OidcProviderInfo, OidcStatusInfo } from '../coord/identity/oidc/oidc-admin.ts'
import { adminOptionHelp, adminOptions, answer, ask, list, secretIn, when } from './coord-admin.ts'
import { type Command, type CommandCall, type OptionSpecs, remark, stringOption, UsageError } from './command.ts'

const base = { help: adminOptionHelp, options: adminOptions }
/** A provider far away has to answer first. */
const LONG_MS = 30_000

const oidcList: Command = {
  ...base,
  name: 'coord oidc list',
  summary: 'Lists the providers by whose accounts people sign in.',
  usage: ['coord oidc list [--json]'],
  example: 'peerway coord oidc list',
  positionals: [0, 0],
  async run(call) {
    return answer(call, await ask(call, 'oidc.list', {}), (providers) =>
      providers.length === 0
        ? 'People sign in with passkeys and passwords only. Add a provider: peerway coord oidc add NAME --issuer URL --client-id ID'
        : list(['NAME', 'ISSUER', 'LETS IN', 'PEOPLE', 'DEPEND', 'UNTIL'], providers, (provider) => [
            provider.name,
            provider.issuer,
            letsIn(provider),
            String(provider.people),
            String(provider.dependents),
            provider.leavesAt === undefined ? '' : when(provider.leavesAt),
          ]),
    )
  },
}

const changeOptions = {
  ...adminOptions,
  'client-id': { type: 'string' },
  'client-secret-file': { type: 'string' },
  'allow-domain': { type: 'string', multiple: true },
  'allow-group': { type: 'string', multiple: true },
  'allow-everyone': { type: 'boolean' },
  label: { type: 'string' },
  'groups-claim': { type: 'string' },
  scope: { type: 'string', multiple: true },
} as const satisfies OptionSpecs

const changeHelp = {
  'client-id': '--client-id ID     what the provider calls this server',
  'client-secret-file': '--client-secret-file F  the secret it gave, in a file; - is standard input',
  'allow-domain': '--allow-domain D   people with a proven address of this domain come in',
  'allow-group': '--allow-group G    people in this group of the provider come in',
  'allow-everyone':
    '--allow-everyone   whoever the provider knows; without any of the three, only who linked their account',
  label: '--label TEXT       on the button; the name when left out',
  'groups-claim': '--groups-claim C   the claim that lists groups (groups)',
  scope: '--scope S          asked for beside openid (profile, email)',
  ...adminOptionHelp,
}

async function changeIn(call: CommandCall) {
  const file = stringOption(call, 'client-secret-file')
  return {
    clientId: stringOption(call, 'client-id'),
    clientSecret: file === undefined ? undefined : await secretIn('client secret', file),
    label: stringOption(call, 'label'),
    allowDomains: several(call, 'allow-domain'),
    allowGroups: several(call, 'allow-group'),
    allowEveryone: call.values['allow-everyone'] === true ? true : undefined,
    groupsClaim: stringOption(call, 'groups-claim'),
    scopes: several(call, 'scope'),
  }
}

const oidcAdd: Command = {
  name: 'coord oidc add',
  summary: 'Lets people sign in by an OpenID Connect provider.',
  usage: [
    'coord oidc add NAME --issuer URL --client-id ID [--client-secret-file F] [--allow-domain D | --allow-group G]…',
    'coord oidc add NAME --issuer URL --client-id ID [--client-secret-file F] --allow-everyone',
  ],
  help: {
    issuer: '--issuer URL       as the provider writes it; a slash at the end counts',
    ...changeHelp,
  },
  example:
    'peerway coord oidc add corp --issuer https://id.example.org --client-id peerway --client-secret-file secret --allow-domain example.org',
  options: { ...changeOptions, issuer: { type: 'string' } },
  positionals: [1, 1],
  async run(call) {
    const [name] = call.positionals
    const issuer = stringOption(call, 'issuer')
    const clientId = stringOption(call, 'client-id')
    if (issuer === undefined || clientId === undefined)
      throw new UsageError('Say which provider, and what it calls this server: --issuer URL --client-id ID.')
    const wish = { name, issuer, ...(await changeIn(call)) }
    const provider = await ask(call, 'oidc.add', wish, LONG_MS)
    if (letsIn(provider) === 'linked accounts')
      remark('It lets nobody new in: people link their accounts on the page of their own account.')
    return answer(call, provider, ({ name, redirectUri }) =>
      redirectUri === undefined
        ? `The provider ${name} is there. Its redirect address is shown once the server has run: peerway coord oidc list --json`
        : `The provider ${name} is there. Enter this redirect address at the provider: ${redirectUri}`,
    )
  },
}

const oidcSet: Command = {
  name: 'coord oidc set',
  summary: 'Changes a provider: another secret, or whom it lets in. What is left out stays.',
  usage: [
    'coord oidc set NAME [--client-secret-file F] [--allow-domain D | --allow-group G]… [--allow-everyone | --allow-linked]',
  ],
  help: { ...changeHelp, 'allow-linked': '--allow-linked     nobody new any more: only who linked their account' },
  example: 'peerway coord oidc set corp --client-secret-file secret',
  options: { ...changeOptions, 'allow-linked': { type: 'boolean' } },
  positionals: [1, 1],
  async run(call) {
    const [name] = call.positionals
    const change = await changeIn(call)
    const { allowDomains, allowGroups, allowEveryone } = change
    // One answer to "who comes in" takes the place of another.
    const rules =
      call.values['allow-linked'] === true
        ? { allowDomains: [], allowGroups: [], allowEveryone: false }
        : allowEveryone === true
          ? { allowDomains: [], allowGroups: [], allowEveryone }
          : allowDomains || allowGroups
            ? { allowDomains: allowDomains ?? [], allowGroups: allowGroups ?? [], allowEveryone: false }
            : {}
    const provider = await ask(call, 'oidc.update', { name, ...change, ...rules })
    return answer(call, provider, (provider) => `${provider.name} lets in: ${letsIn(provider)}.`)
  },
}

const oidcStatus: Command = {
  ...base,
  name: 'coord oidc status',
  summary: 'Shows who signs in by a provider, and who depends on it.',
  usage: ['coord oidc status NAME [--json]'],
  example: 'peerway coord oidc status corp',
  positionals: [1, 1],
  async run(call) {
    const [name] = call.positionals
    return answer(call, await ask(call, 'oidc.status', { name }), statusText)
  },
}

const oidcLeave: Command = {
  name: 'coord oidc leave',
  summary: 'Leaves a provider by a date; whoever depends on it is told, and machines stay logged in.',
  usage: ['coord oidc leave NAME --at DATE [--json]'],
  help: {
    at: '--at DATE          the day, as in 2030-06-30 (its end, UTC), or a time with T and Z',
    ...adminOptionHelp,
  },
  example: 'peerway coord oidc leave corp --at 2030-06-30',
  options: { ...adminOptions, at: { type: 'string' } },
  positionals: [1, 1],
  async run(call) {
    const [name] = call.positionals
    const atMs = dateOf(stringOption(call, 'at'))
    const status = await ask(call, 'oidc.leave', { name, atMs })
    if (status.provider.dependents > 0)
      remark(`To give them links for another way to sign in: peerway coord oidc remind ${name ?? ''}`)
    return answer(call, status, statusText)
  },
}

const oidcStay: Command = {
  ...base,
  name: 'coord oidc stay',
  summary: 'Takes the wish to leave a provider back.',
  usage: ['coord oidc stay NAME'],
  example: 'peerway coord oidc stay corp',
  positionals: [1, 1],
  async run(call) {
    const [name] = call.positionals
    return answer(call, await ask(call, 'oidc.stay', { name }), ({ provider }) => `${provider.name} stays.`)
  },
}

const oidcRemind: Command = {
  ...base,
  name: 'coord oidc remind',
  summary: 'Prints a one-time link for each person who depends on a provider that is being left.',
  usage: ['coord oidc remind NAME [--json]'],
  example: 'peerway coord oidc remind corp',
  positionals: [1, 1],
  async run(call) {
    const [name] = call.positionals
    const links = await ask(call, 'oidc.remind', { name })
    if (links.length > 0) remark('Whoever opens such a link signs in as that person: hand each only to whom it is for.')
    return answer(call, links, (links) =>
      links.length === 0
        ? 'Nobody depends on it any more.'
        : list(['USER', 'UNTIL', 'LINK'], links, (link) => [link.user, when(link.expiresAt), link.url]),
    )
  },
}

const oidcRemove: Command = {
  name: 'coord oidc remove',
  summary: 'Removes a provider with all accounts at it; people and their machines stay.',
  usage: ['coord oidc remove NAME [--force]'],
  help: { force: '--force            even if somebody can sign in by nothing else', ...adminOptionHelp },
  example: 'peerway coord oidc remove corp',
  options: { ...adminOptions, force: { type: 'boolean' } },
  positionals: [1, 1],
  async run(call) {
    const [name] = call.positionals
    await ask(call, 'oidc.remove', { name, force: call.values['force'] === true })
    return answer(call, { name }, () => `The provider ${name ?? ''} is gone.`)
  },
}

export const oidcCommands: readonly Command[] = [
  oidcList,
  oidcAdd,
  oidcSet,
  oidcStatus,
  oidcLeave,
  oidcStay,
  oidcRemind,
  oidcRemove,
]

function letsIn({ allowDomains, allowGroups, allowEveryone }: OidcProviderInfo): string {
  if (allowEveryone) return 'everyone'
  const rules = [...allowDomains.map((domain) => `@${domain}`), ...allowGroups]
  return rules.length === 0 ? 'linked accounts' : rules.join(' ')
}

function statusText({ provider, people }: OidcStatusInfo): string {
  const { name, leavesAt, isOver, dependents } = provider
  const until =
    leavesAt === undefined
      ? `Nobody plans to leave ${name}.`
      : isOver
        ? `${name} was left on ${when(leavesAt)}: nobody signs in by it any more.`
        : `${name} is left on ${when(leavesAt)}. To take that back: peerway coord oidc stay ${name}`
  const whoDepends =
    dependents === 0 ? 'Nobody depends on it.' : `${dependents} of ${provider.people} can sign in by nothing else.`
  if (people.length === 0) return `${until}\nNobody signs in by it.`
  const rows = list(['USER', 'ACCOUNT THERE', 'LAST', 'OTHER WAYS', 'MACHINES'], people, (person) => [
    person.user,
    person.account,
    when(person.lastSignInAt),
    otherWays(person) || (person.depends ? 'none' : 'another account there'),
    String(person.machines),
  ])
  return `${until}\n${whoDepends}\n${rows}`
}

function otherWays({ passkeys, password, otherProviders }: OidcStatusInfo['people'][number]): string {
  return [
    ...(passkeys > 0 ? [passkeys === 1 ? 'a passkey' : `${passkeys} passkeys`] : []),
    ...(password ? ['a password'] : []),
    ...otherProviders,
  ].join(', ')
}

function several(call: CommandCall, name: string): readonly string[] | undefined {
  const value = call.values[name]
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : undefined
}

/** A day ends where it ends in UTC. */
function dateOf(text: string | undefined): number {
  const atMs = Date.parse(text !== undefined && /^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T23:59:59Z` : (text ?? ''))
  if (!Number.isFinite(atMs) || text === undefined)
    throw new UsageError('Say from when on nobody signs in by it: --at 2030-06-30, or --at 2030-06-30T18:00:00Z.')
  return atMs
}
