// Everything that can be asked over HTTP, in one table: the router, the checks, the rights and the OpenAPI document are all
// read off it. What acts on the server's own machine, or on other tailnets, is not here: that takes the admin socket.

import { type AdminCallName } from '../admin/admin-calls.ts'
import { ROLES } from '../model.ts'
import { APPROVAL_MODES } from '../nodes/device-approval.ts'
import type { OwnCall } from './api-tokens.ts'
import { choice, digits, type Fields, flag, maybe, number, text, texts } from './fields.ts'
import type { SchemaName } from './schemas.ts'
import { AREAS, type Area, SCOPES } from './scopes.ts'

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

export interface Operation {
  readonly call: AdminCallName | OwnCall
  readonly method: Method
  /** Below /api/v1; {name} is an argument of the call. */
  readonly path: string
  readonly area: Area
  readonly summary: string
  readonly path_: Fields
  readonly query: Fields
  readonly body: Fields
  readonly answer: Answer
}

export type Answer = SchemaName | { readonly list: SchemaName } | 'nothing'

const DAY_MS = 86_400_000
const node = { node: text('Its name, number, stable id or an address.') }
const user = { name: text('The user’s name.') }
const provider = { name: text('The provider’s name.', 32) }
const providerRules = {
  clientSecret: maybe(text('Kept sealed, and never shown.')),
  label: maybe(text('On the button; the name when left out.', 40)),
  allowDomains: maybe(texts('Only people with a proven address of one of these.')),
  allowGroups: maybe(texts('Only people in one of these groups.')),
  allowEveryone: maybe(flag('Whoever the provider knows; otherwise only who linked their account.')),
  groupsClaim: maybe(text('The claim that lists groups; "groups" when left out.', 128)),
  scopes: maybe(texts('Asked for beside openid; profile and email when left out.')),
}
const routes = { routes: maybe(texts('Prefixes; all that the node announces when left out.', 1_024)) }

type Parts = Partial<Pick<Operation, 'query' | 'body'>> & { readonly args?: Fields }

const operation = (
  method: Method,
  path: string,
  call: Operation['call'],
  area: Area,
  summary: string,
  answer: Answer,
  { args = {}, query = {}, body = {} }: Parts = {},
): Operation => ({ method, path, call, area, summary, answer, path_: args, query, body })

export const OPERATIONS: readonly Operation[] = [
  operation('GET', '/nodes', 'nodes.list', 'nodes', 'All machines', { list: 'Node' }),
  operation('GET', '/nodes/{node}', 'nodes.show', 'nodes', 'One machine', 'Node', { args: node }),
  operation('DELETE', '/nodes/{node}', 'nodes.delete', 'nodes', 'Forget a machine', 'nothing', { args: node }),
  operation('PUT', '/nodes/{node}/name', 'nodes.rename', 'nodes', 'Rename a machine', 'Node', {
    args: node,
    body: { to: text('A DNS label.', 63) },
  }),
  operation('PUT', '/nodes/{node}/tags', 'nodes.tag', 'nodes', 'Give a machine tags', 'Node', {
    args: node,
    body: { tags: texts('Each with "tag:" before it.') },
  }),
  operation('PUT', '/nodes/{node}/user', 'nodes.move', 'nodes', 'Give a machine to a user', 'Node', {
    args: node,
    body: { user: text('The name of who shall have it.') },
  }),
  operation('POST', '/nodes/{node}/expire', 'nodes.expire', 'nodes', 'Let a machine’s key end', 'Node', {
    args: node,
    body: {
      afterMs: maybe(number('From now; at once when left out.', 0, 3_650 * DAY_MS)),
      never: maybe(flag('It shall not end by itself.')),
    },
  }),
  operation('POST', '/nodes/{node}/approve', 'nodes.approve', 'nodes', 'Let a machine that waits go on', 'Node', {
    args: node,
  }),
  operation('GET', '/paths', 'nodes.paths', 'nodes', 'How machines reach others, where that is known', {
    list: 'NodePaths',
  }),
  operation('GET', '/settings', 'settings.get', 'nodes', 'What holds for all machines', 'Settings'),
  operation('PATCH', '/settings', 'settings.set', 'nodes', 'Change it; what is left out stays', 'Settings', {
    body: {
      name: maybe(text('A new one for the tailnet; owners may.', 63)),
      deviceApproval: maybe(choice('Which new machines wait until somebody approves them.', APPROVAL_MODES)),
      keyLifetimeMs: maybe(number('Of keys of machines from now on.', 3_600_000, 3_650 * DAY_MS)),
      keyNeverEnds: maybe(flag('Keys last for ever from now on.')),
      keyRenewal: maybe(flag('Renew them quietly while a machine is in use.')),
    },
  }),
  operation('GET', '/node-keys', 'node-keys.get', 'nodes', 'How long keys of machines last', 'NodeKeys'),
  operation('PATCH', '/node-keys', 'node-keys.set', 'nodes', 'Change how long keys of machines last', 'NodeKeys', {
    body: {
      lifetimeMs: maybe(number('Of keys from now on.', 60_000, 3_650 * DAY_MS)),
      renew: maybe(flag('Renew them quietly while a machine is in use.')),
    },
  }),
  operation('GET', '/logins', 'logins.list', 'nodes', 'Machines that wait to be let in', { list: 'Login' }),
  operation('POST', '/logins/{login}/approve', 'logins.approve', 'nodes', 'Let a waiting machine in', 'Node', {
    args: { login: text('Its id in the list.', 64) },
    body: { user: text('Whose machine it will be.') },
  }),
  operation(
    'GET',
    '/routes',
    'routes.list',
    'routes',
    'What machines announce, and whether they may',
    { list: 'Route' },
    {
      query: { node: maybe(text('Of one machine only.')) },
    },
  ),
  operation(
    'POST',
    '/nodes/{node}/routes/approve',
    'routes.approve',
    'routes',
    'Approve routes',
    { list: 'Route' },
    {
      args: node,
      body: routes,
    },
  ),
  operation(
    'POST',
    '/nodes/{node}/routes/revoke',
    'routes.revoke',
    'routes',
    'Revoke routes',
    { list: 'Route' },
    {
      args: node,
      body: routes,
    },
  ),
  operation('GET', '/users', 'users.list', 'users', 'All people', { list: 'User' }),
  operation('POST', '/users', 'users.create', 'users', 'Add a person', 'User', {
    body: {
      name: text('Unique on the server.', 64),
      displayName: maybe(text('For reading.', 256)),
      email: maybe(text('For reading, and for policies that name people by address.', 256)),
      role: maybe(choice('"member" when left out.', ROLES)),
    },
  }),
  operation('PUT', '/users/{name}/name', 'users.rename', 'users', 'Rename a person', 'User', {
    args: user,
    body: { to: text('Unique on the server.', 64) },
  }),
  operation('PUT', '/users/{name}/role', 'users.role', 'users', 'Give a person another role', 'User', {
    args: user,
    body: { role: choice('The last owner stays one; only owners make owners.', ROLES) },
  }),
  operation('DELETE', '/users/{name}', 'users.delete', 'users', 'Remove a person without machines', 'nothing', {
    args: user,
  }),
  operation(
    'POST',
    '/users/{name}/invite',
    'users.invite',
    'users',
    'A one-time link to set up how to sign in',
    'EnrolLink',
    {
      args: user,
    },
  ),
  operation('GET', '/providers', 'oidc.list', 'users', 'Providers whose accounts people sign in with', {
    list: 'Provider',
  }),
  operation('POST', '/providers', 'oidc.add', 'users', 'Let people sign in by a provider', 'Provider', {
    body: {
      name: text('Unique on the server; in the redirect address, and behind the @ of its groups.', 32),
      issuer: text('As the provider writes it, beginning with https://.'),
      clientId: text('What the provider calls this server.', 512),
      ...providerRules,
    },
  }),
  operation(
    'GET',
    '/providers/{name}',
    'oidc.status',
    'users',
    'Who signs in by it, and who depends on it',
    'ProviderStatus',
    {
      args: provider,
    },
  ),
  operation(
    'PATCH',
    '/providers/{name}',
    'oidc.update',
    'users',
    'Change a provider; what is left out stays',
    'Provider',
    {
      args: provider,
      body: { clientId: maybe(text('What the provider calls this server.', 512)), ...providerRules },
    },
  ),
  operation('PUT', '/providers/{name}/leave', 'oidc.leave', 'users', 'Leave it by a date', 'ProviderStatus', {
    args: provider,
    body: {
      atMs: number('Unix time in milliseconds; nobody signs in by it from then on.', 0, Number.MAX_SAFE_INTEGER),
    },
  }),
  operation('DELETE', '/providers/{name}/leave', 'oidc.stay', 'users', 'Stay after all', 'ProviderStatus', {
    args: provider,
  }),
  operation(
    'DELETE',
    '/providers/{name}',
    'oidc.remove',
    'users',
    'Remove a provider on which nobody depends',
    'nothing',
    {
      args: provider,
    },
  ),
  operation('GET', '/auth-keys', 'auth-keys.list', 'keys', 'Keys that let machines in', { list: 'AuthKey' }),
  operation(
    'POST',
    '/auth-keys',
    'auth-keys.create',
    'keys',
    'Make a key; only this answer has its secret',
    'NewAuthKey',
    {
      body: {
        user: maybe(text('Whose machines it lets in; left out with tags, or where there is one user.')),
        reusable: maybe(flag('For more than one machine.')),
        ephemeral: maybe(flag('Machines are forgotten soon after they go offline.')),
        preApproved: maybe(flag('Its machines need no approval, where the network lets keys say so.')),
        tags: maybe(texts('The machines belong to these tags instead of a person.')),
        lifeMs: maybe(number('A day when left out.', 1_000, 365 * DAY_MS)),
      },
    },
  ),
  operation('DELETE', '/auth-keys/{id}', 'auth-keys.revoke', 'keys', 'Revoke a key', 'nothing', {
    args: { id: text('Its id in the list.', 64) },
  }),
  operation('GET', '/policy', 'policy.get', 'policy', 'The policy in force, or an earlier one', 'Policy', {
    query: { revision: maybe(digits('An earlier one.')) },
  }),
  operation('PUT', '/policy', 'policy.set', 'policy', 'Put a policy in force', 'Policy', {
    body: {
      text: text('HuJSON.', 512 * 1024),
      expected: maybe(
        number('The revision it was made from; another in force by now is kept.', 0, Number.MAX_SAFE_INTEGER),
      ),
    },
  }),
  operation('POST', '/policy/diff', 'policy.diff', 'policy', 'Who would gain and lose what', 'PolicyEffects', {
    body: { text: text('HuJSON.', 512 * 1024) },
  }),
  operation('GET', '/derp-map', 'derp-map.get', 'policy', 'Where relays are', 'DerpMap'),
  operation('PUT', '/derp-map', 'derp-map.set', 'policy', 'Put other regions in place of those added', 'DerpMap', {
    body: { text: text('HuJSON, with the names of the field’s DERPMap.', 512 * 1024) },
  }),
  operation('POST', '/derp-map/regions', 'derp-map.add-region', 'policy', 'Add a region with one relay', 'DerpMap', {
    body: {
      id: maybe(number('The next from 901 on when left out.', 1, 65_535)),
      code: text('Short, such as "fra".', 32),
      name: maybe(text('For reading.', 128)),
      host: text('Its name or address.', 253),
      certificate: maybe(text('"sha256-raw:" and the SHA-256 of its certificate, or the name in it.', 253)),
      ipv4: maybe(text('To dial instead of asking DNS; "none" turns the family off.', 64)),
      ipv6: maybe(text('To dial instead of asking DNS; "none" turns the family off.', 64)),
      derpPort: maybe(number('443 when left out.', 1, 65_535)),
      stunPort: maybe(number('3478 when left out; -1 for none.', -1, 65_535)),
    },
  }),
  operation('DELETE', '/derp-map/regions/{id}', 'derp-map.remove-region', 'policy', 'Remove a region', 'DerpMap', {
    args: { id: digits('Its number.') },
  }),
  operation('GET', '/dns', 'dns.get', 'dns', 'What machines are told of DNS', 'Dns'),
  operation('PATCH', '/dns', 'dns.set', 'dns', 'Change it; what is left out stays', 'Dns', {
    body: {
      magicDns: maybe(flag('Machines have names.')),
      nameservers: maybe(texts('For all names that nobody else answers for.', 16)),
      overrideLocal: maybe(flag('Those instead of the machine’s own.')),
      searchDomains: maybe(texts('Appended to short names.', 32)),
    },
  }),
  operation('PUT', '/dns/split/{domain}', 'dns.split', 'dns', 'Which servers answer for a domain', 'Dns', {
    args: { domain: text('Such as corp.example.', 253) },
    body: { servers: texts('None: the domain is like any other again.', 16) },
  }),
  operation('POST', '/dns/records', 'dns.records.add', 'dns', 'Add a name', 'Dns', {
    body: { name: text('Such as printer.corp.example.', 253), value: text('An address.', 64) },
  }),
  operation('DELETE', '/dns/records/{name}', 'dns.records.remove', 'dns', 'Remove a name', 'Dns', {
    args: { name: text('As it was added.', 253) },
    query: { value: maybe(text('Only the record with this address.', 64)) },
  }),
  operation(
    'GET',
    '/relays/advice',
    'relays.advice',
    'nodes',
    'Which machine would help which pairs as a relay',
    'RelayAdvice',
  ),
  operation(
    'GET',
    '/audit',
    'audit.list',
    'audit',
    'Who changed what, the newest last',
    { list: 'AuditEntry' },
    {
      query: { since: maybe(digits('Unix time in milliseconds; a day ago when left out.')) },
    },
  ),
  operation('GET', '/tokens', 'own-tokens.list', 'tokens', 'Tokens for programs', { list: 'Token' }),
  operation(
    'POST',
    '/tokens',
    'own-tokens.create',
    'tokens',
    'Make a token; only this answer has its secret',
    'NewToken',
    {
      body: {
        name: text('What it is for.', 64),
        scopes: texts(`Of ${SCOPES.join(', ')}.`, AREAS.length * 2 + 2),
        lifeMs: maybe(number('90 days when left out.', 60_000, 366 * DAY_MS)),
      },
    },
  ),
  operation('DELETE', '/tokens/{id}', 'own-tokens.revoke', 'tokens', 'Revoke a token', 'nothing', {
    args: { id: text('Its id in the list.', 64) },
  }),
]

export const writes = ({ method, call }: Operation): boolean => method !== 'GET' && call !== 'policy.diff'
