// The administrative calls by name, with plain data in and out: what travels over the admin socket. What arrives is not
// trusted to have the right shape.

import { CoordError } from '../errors.ts'
import type { ProviderChange } from '../identity/oidc/oidc-admin.ts'
import { ROLES, type Role } from '../model.ts'
import type { Admin } from './admin.ts'
import type { ServerAdmin } from './server-admin.ts'

const MOST_ROUTES = 1_024

export type CallArguments = Readonly<Record<string, unknown>>
/** `admin` is that of the tailnet named by the argument `tailnet`, or of the first. */
export type AdminCall = (admin: Admin, args: CallArguments, server: ServerAdmin) => Promise<unknown>

export const adminCalls = {
  backup: (_admin, args, server) =>
    server.backUp({ file: text(args, 'file'), passphrase: maybeText(args, 'passphrase') }),
  'tailnets.list': (_admin, _args, server) => server.listTailnets(),
  'tailnets.create': (_admin, args, server) =>
    server.createTailnet({ name: text(args, 'name'), domain: maybeText(args, 'domain') }),
  'tailnets.rename': (_admin, args, server) => server.renameTailnet(text(args, 'name'), text(args, 'to')),
  'tailnets.delete': (_admin, args, server) => server.deleteTailnet(text(args, 'name')),
  'tailnets.add-member': (_admin, args, server) =>
    server.addMember({ tailnet: text(args, 'name'), user: text(args, 'user'), role: maybeRole(args) }),
  'users.list': (admin) => admin.listUsers(),
  'users.create': (admin, args) =>
    admin.createUser({
      name: text(args, 'name'),
      displayName: maybeText(args, 'displayName'),
      email: maybeText(args, 'email'),
      role: maybeRole(args),
    }),
  'users.rename': (admin, args) => admin.renameUser(text(args, 'name'), text(args, 'to')),
  'users.role': (admin, args) => {
    const role = maybeRole(args)
    if (role === undefined) throw new CoordError('coord/bad-argument', `A role is one of ${ROLES.join(', ')}.`)
    return admin.setUserRole(text(args, 'name'), role)
  },
  'users.invite': (admin, args) => admin.inviteUser(text(args, 'name')),
  'users.reset': (admin, args) => admin.resetUser(text(args, 'name')),
  'users.setup-code': async (admin) => (await admin.setupCode()) ?? null,
  'users.delete': (admin, args) => admin.deleteUser(text(args, 'name')),
  'oidc.list': (admin) => admin.oidc.list(),
  'oidc.add': (admin, args) =>
    admin.oidc.add({
      ...providerChange(args),
      name: text(args, 'name'),
      issuer: text(args, 'issuer'),
      clientId: text(args, 'clientId'),
    }),
  'oidc.update': (admin, args) => admin.oidc.update(text(args, 'name'), providerChange(args)),
  'oidc.status': (admin, args) => admin.oidc.status(text(args, 'name')),
  'oidc.leave': (admin, args) => admin.oidc.leave(text(args, 'name'), maybeNumber(args, 'atMs') ?? Number.NaN),
  'oidc.stay': (admin, args) => admin.oidc.stay(text(args, 'name')),
  'oidc.remind': (admin, args) => admin.oidc.remind(text(args, 'name')),
  'oidc.remove': (admin, args) => admin.oidc.remove(text(args, 'name'), args['force'] === true),
  'auth-keys.list': (admin) => admin.listAuthKeys(),
  'auth-keys.create': (admin, args) =>
    admin.createAuthKey({
      user: maybeText(args, 'user'),
      reusable: args['reusable'] === true,
      ephemeral: args['ephemeral'] === true,
      preApproved: args['preApproved'] === true,
      tags: texts(args, 'tags'),
      lifeMs: maybeNumber(args, 'lifeMs'),
    }),
  'auth-keys.revoke': (admin, args) => admin.revokeAuthKey(text(args, 'id')),
  'nodes.list': (admin) => admin.listNodes(),
  'nodes.show': (admin, args) => admin.showNode(text(args, 'node')),
  'nodes.expire': (admin, args) =>
    admin.expireNode(text(args, 'node'), args['never'] === true ? 'never' : (maybeNumber(args, 'afterMs') ?? 0)),
  'nodes.tag': (admin, args) => admin.tagNode(text(args, 'node'), texts(args, 'tags')),
  'nodes.move': (admin, args) => admin.moveNode(text(args, 'node'), text(args, 'user')),
  'node-keys.get': (admin) => admin.nodes.keySettings(),
  'node-keys.set': (admin, args) =>
    admin.nodes.setKeySettings({
      lifetimeMs: args['lifetimeMs'] === null ? null : maybeNumber(args, 'lifetimeMs'),
      renew: maybeFlag(args, 'renew'),
    }),
  'nodes.approve': (admin, args) => admin.approveNode(text(args, 'node')),
  'nodes.paths': (admin) => admin.nodePaths(),
  'settings.get': (admin) => admin.settings(),
  'settings.set': async (admin, args, server) => {
    const to = maybeText(args, 'name')
    if (to !== undefined) await server.renameTailnet((await admin.settings()).tailnet, to, admin.actor)
    return admin.setSettings({
      deviceApproval: maybeText(args, 'deviceApproval'),
      keyLifetimeMs:
        args['keyLifetimeMs'] === null || args['keyNeverEnds'] === true ? null : maybeNumber(args, 'keyLifetimeMs'),
      keyRenewal: maybeFlag(args, 'keyRenewal'),
    })
  },
  'nodes.delete': (admin, args) => admin.deleteNode(text(args, 'node')),
  'nodes.rename': (admin, args) => admin.renameNode(text(args, 'node'), text(args, 'to')),
  'routes.list': (admin, args) => admin.routes.list(maybeText(args, 'node')),
  'routes.approve': (admin, args) => admin.routes.approve(text(args, 'node'), texts(args, 'routes', MOST_ROUTES)),
  'routes.revoke': (admin, args) => admin.routes.revoke(text(args, 'node'), texts(args, 'routes', MOST_ROUTES)),
  'relays.advice': (admin) => admin.relayAdvice(),
  'derp-map.get': (admin) => admin.derpMap.get(),
  'derp-map.set': (admin, args) => admin.derpMap.set(longText(args, 'text')),
  'derp-map.add-region': (admin, args) =>
    admin.derpMap.addRegion({
      id: maybeNumber(args, 'id'),
      code: text(args, 'code'),
      name: maybeText(args, 'name'),
      host: text(args, 'host'),
      certificate: maybeText(args, 'certificate'),
      ipv4: maybeText(args, 'ipv4'),
      ipv6: maybeText(args, 'ipv6'),
      derpPort: maybeNumber(args, 'derpPort'),
      stunPort: maybeNumber(args, 'stunPort'),
    }),
  'derp-map.remove-region': (admin, args) => admin.derpMap.removeRegion(maybeNumber(args, 'id') ?? 0),
  'dns.get': (admin) => admin.dns.get(),
  'dns.set': (admin, args) =>
    admin.dns.set({
      ...given('magicDns', maybeFlag(args, 'magicDns')),
      ...given('nameservers', maybeTexts(args, 'nameservers')),
      ...given('overrideLocal', maybeFlag(args, 'overrideLocal')),
      ...given('searchDomains', maybeTexts(args, 'searchDomains')),
    }),
  'dns.split': (admin, args) => admin.dns.split(text(args, 'domain'), texts(args, 'servers')),
  'dns.records.add': (admin, args) => admin.dns.addRecord({ name: text(args, 'name'), value: text(args, 'value') }),
  'dns.records.remove': (admin, args) => admin.dns.removeRecord(text(args, 'name'), maybeText(args, 'value')),
  'import.headscale': (admin, args) => admin.imports.fromHeadscale(text(args, 'file'), args['apply'] === true),
  'import.headscale-server': (admin, args) =>
    admin.imports.fromHeadscaleServer({ url: text(args, 'url'), apiKey: text(args, 'apiKey') }, args['apply'] === true),
  'import.tailscale': (admin, args) =>
    admin.imports.fromTailscale(
      { policy: maybeText(args, 'policy'), devices: maybeText(args, 'devices'), users: maybeText(args, 'users') },
      args['apply'] === true,
    ),
  'import.rejoin': async (admin, args) => ({
    machines: await admin.imports.rejoin(texts(args, 'machines', 1_000), maybeNumber(args, 'lifeMs') ?? 7 * 86_400_000),
    url: (await admin.publicUrl()) ?? 'URL',
  }),
  'import.status': async (admin) => ({ moves: await admin.imports.moves(), url: (await admin.publicUrl()) ?? 'URL' }),
  'tokens.list': (admin) => admin.tokens.list(),
  'tokens.create': (admin, args) =>
    admin.tokens.create({
      name: text(args, 'name'),
      scopes: texts(args, 'scopes'),
      user: maybeText(args, 'user'),
      lifeMs: maybeNumber(args, 'lifeMs'),
    }),
  'tokens.revoke': (admin, args) => admin.tokens.revoke(text(args, 'id')),
  'audit.list': (admin, args) => admin.auditLog(maybeNumber(args, 'since')),
  'logins.list': (admin) => admin.listLogins(),
  'logins.approve': (admin, args) => admin.approveLogin(text(args, 'login'), text(args, 'user')),
  'policy.get': (admin, args) => admin.policy.get(maybeNumber(args, 'revision')),
  'policy.diff': (admin, args) => admin.policy.diff(longText(args, 'text')),
  'policy.set': (admin, args) => admin.policy.set(longText(args, 'text'), admin.actor, maybeNumber(args, 'expected')),
} satisfies Record<string, AdminCall>

export type AdminCallName = keyof typeof adminCalls
export type AdminCallResult<N extends AdminCallName> = Awaited<ReturnType<(typeof adminCalls)[N]>>

export async function runAdminCall<N extends AdminCallName>(
  server: ServerAdmin,
  name: N,
  args: CallArguments,
): Promise<AdminCallResult<N>> {
  const call: AdminCall = adminCalls[name]
  return (await call(server.of(maybeText(args, 'tailnet')), args, server)) as AdminCallResult<N>
}

export function isAdminCall(name: string): name is AdminCallName {
  return Object.hasOwn(adminCalls, name)
}

const providerChange = (args: CallArguments): ProviderChange => ({
  clientId: maybeText(args, 'clientId'),
  clientSecret: maybeText(args, 'clientSecret'),
  label: maybeText(args, 'label'),
  allowDomains: maybeTexts(args, 'allowDomains'),
  allowGroups: maybeTexts(args, 'allowGroups'),
  allowEveryone: maybeFlag(args, 'allowEveryone'),
  groupsClaim: maybeText(args, 'groupsClaim'),
  scopes: maybeTexts(args, 'scopes'),
})

function text(args: CallArguments, name: string): string {
  const value = args[name]
  if (typeof value !== 'string' || value.length > 1024)
    throw new CoordError('coord/bad-argument', `${name} is missing.`)
  return value
}

/** How long is long is for who reads it to say; the body of a call is bounded anyway. */
function longText(args: CallArguments, name: string): string {
  const value = args[name]
  if (typeof value !== 'string') throw new CoordError('coord/bad-argument', `${name} is missing.`)
  return value
}

function maybeText(args: CallArguments, name: string): string | undefined {
  return args[name] === undefined ? undefined : text(args, name)
}

function maybeNumber(args: CallArguments, name: string): number | undefined {
  const value = args[name]
  if (value !== undefined && typeof value !== 'number')
    throw new CoordError('coord/bad-argument', `${name} is no number.`)
  return value
}

function texts(args: CallArguments, name: string, most = 64): string[] {
  const value = args[name] ?? []
  if (!Array.isArray(value) || value.length > most || !value.every((item) => typeof item === 'string'))
    throw new CoordError('coord/bad-argument', `${name} is no list of texts.`)
  return value
}

function maybeTexts(args: CallArguments, name: string): string[] | undefined {
  return args[name] === undefined ? undefined : texts(args, name)
}

function maybeFlag(args: CallArguments, name: string): boolean | undefined {
  const value = args[name]
  if (value !== undefined && typeof value !== 'boolean')
    throw new CoordError('coord/bad-argument', `${name} is neither true nor false.`)
  return value
}

/** A member, or none at all. */
const given = <K extends string, V>(name: K, value: V | undefined): { readonly [N in K]?: V } =>
  (value === undefined ? {} : { [name]: value }) as { readonly [N in K]?: V }

function maybeRole(args: CallArguments): Role | undefined {
  const value = maybeText(args, 'role')
  const role = ROLES.find((role) => role === value)
  if (value !== undefined && role === undefined)
    throw new CoordError('coord/bad-argument', `A role is one of ${ROLES.join(', ')}.`)
  return role
}
