// `peerway coord tokens …` and `audit`: what programs may do over the API, and who changed what.

import type { TokenInfo } from '../coord/api/api-tokens.ts'
import { SCOPES } from '../coord/api/scopes.ts'
import { adminOptionHelp, adminOptions, answer, ask, list, when } from './coord-admin.ts'
import { type Command, durationOption, remark, stringOption, UsageError } from './command.ts'

const DAY_MS = 86_400_000
const base = { help: adminOptionHelp, options: adminOptions }

const tokensList: Command = {
  ...base,
  name: 'coord tokens list',
  summary: 'Lists the tokens with which programs use the API.',
  usage: ['coord tokens list [--json]'],
  example: 'peerway coord tokens list',
  positionals: [0, 0],
  async run(call) {
    return answer(call, await ask(call, 'tokens.list', {}), (tokens) =>
      tokens.length === 0
        ? 'There are no tokens. Make one: peerway coord tokens create backup --scopes nodes:read'
        : list(['ID', 'NAME', 'MAY', 'OF', 'UNTIL'], tokens, (token: TokenInfo) => [
            token.id,
            token.name,
            token.scopes.join(' '),
            token.user ?? 'the server',
            when(token.expiresAt),
          ]),
    )
  },
}

const tokensCreate: Command = {
  name: 'coord tokens create',
  summary: 'Makes a token for a program that uses the API, and prints it once.',
  usage: ['coord tokens create NAME --scopes S,S [--user NAME] [--expiry D]'],
  help: {
    scopes: `--scopes LIST      of ${SCOPES.filter((scope) => !scope.endsWith(':read')).join(', ')}; each with :read for looking only`,
    user: '--user NAME        whose role bounds it, now and later; the server’s own otherwise',
    expiry: '--expiry D         how long it can be used (90d; at most 366d)',
    ...adminOptionHelp,
  },
  example: 'peerway coord tokens create inventory --scopes nodes:read --expiry 30d',
  options: { ...adminOptions, scopes: { type: 'string' }, user: { type: 'string' }, expiry: { type: 'string' } },
  positionals: [1, 1],
  async run(call) {
    const scopes = stringOption(call, 'scopes')
    if (scopes === undefined)
      throw new UsageError(
        `Say what the token may do: --scopes nodes:read, or several with commas. There are: ${SCOPES.join(', ')}.`,
      )
    const made = await ask(call, 'tokens.create', {
      name: call.positionals[0],
      scopes: scopes.split(/[,\s]+/).filter((scope) => scope !== ''),
      user: stringOption(call, 'user'),
      lifeMs: durationOption(call, 'expiry', 90 * DAY_MS),
    })
    remark(`It is not shown again. It ends ${when(made.expiresAt)}.`)
    return answer(call, made, ({ token }) => token)
  },
}

const tokensRevoke: Command = {
  ...base,
  name: 'coord tokens revoke',
  summary: 'Makes a token count no more, at once.',
  usage: ['coord tokens revoke ID'],
  example: 'peerway coord tokens revoke Xk2v9QmT4b1c',
  positionals: [1, 1],
  async run(call) {
    const [id] = call.positionals
    await ask(call, 'tokens.revoke', { id })
    return answer(call, { id }, () => `Token ${id ?? ''} counts no more.`)
  },
}

const audit: Command = {
  name: 'coord audit',
  summary: 'Prints who changed what, the newest last.',
  usage: ['coord audit [--since D] [--json]'],
  help: { since: '--since D          how far back (24h)', ...adminOptionHelp },
  example: 'peerway coord audit --since 7d',
  options: { ...adminOptions, since: { type: 'string' } },
  positionals: [0, 0],
  async run(call) {
    const agoMs = durationOption(call, 'since', DAY_MS)
    return answer(call, await ask(call, 'audit.list', { since: Date.now() - agoMs }), (entries) =>
      entries.length === 0
        ? 'Nothing was changed in that time.'
        : list(['WHEN', 'WHO', 'WHAT', 'OF', 'MORE'], entries, (entry) => [
            when(entry.at),
            named(entry.actor, entry.actorName),
            entry.action,
            named(entry.subject, entry.subjectName),
            entry.detail,
          ]),
    )
  },
}

const named = (of: string, name: string | undefined): string => (name === undefined ? of : `${name} (${of})`)

export const tokenCommands: readonly Command[] = [tokensList, tokensCreate, tokensRevoke, audit]
