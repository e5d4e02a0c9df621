// Administrators run a tailnet, but it belongs to its owners: nobody below them may make, rename, remove or sign in as one.

import type { Admin } from '../admin/admin.ts'
import type { AdminCallName } from '../admin/admin-calls.ts'
import { ApiError } from './api-error.ts'
import type { ApiCaller } from './caller.ts'

export async function checkOwners(
  admin: Admin,
  caller: ApiCaller,
  call: AdminCallName,
  args: Readonly<Record<string, unknown>>,
): Promise<void> {
  if (call.startsWith('oidc.')) return checkProvider(caller, call, args)
  if (call === 'settings.set' && args['name'] !== undefined && caller.role !== 'owner')
    throw new ApiError(403, 'api/not-allowed', 'Only an owner may rename the network.')
  if (!call.startsWith('users.') || call === 'users.list') return
  const name = String(args['name']).toLowerCase()
  const user = (await admin.listUsers()).find((one) => one.name.toLowerCase() === name)
  if (caller.role !== 'owner' && (user?.role === 'owner' || args['role'] === 'owner'))
    throw new ApiError(403, 'api/not-allowed', 'Only an owner may do this to an owner.')
  if (call !== 'users.invite') return
  if (!user) throw new ApiError(404, 'api/no-such-thing', 'There is no such user; add them first.')
  const { passkeys, password, providers } = await admin.signInMethods(user.id)
  // A link would sign in as them. They add ways themselves; for lost ones there is recovery, which they see and can stop.
  if (passkeys > 0 || password || providers > 0)
    throw new ApiError(
      409,
      'api/not-allowed',
      `${user.name} can sign in already. A lost way in is given back by recovery.`,
    )
}

/** Owners sign in by providers too. A plain address reaches what else runs on the server's machine, so it takes a hand there. */
function checkProvider(caller: ApiCaller, call: AdminCallName, args: Readonly<Record<string, unknown>>): void {
  if (call === 'oidc.list' || call === 'oidc.status') return
  if (caller.role !== 'owner')
    throw new ApiError(403, 'api/not-allowed', 'Only an owner may change how people sign in.')
  if (call === 'oidc.add' && !/^https:/i.test(String(args['issuer'])))
    throw new ApiError(400, 'api/bad-request', 'The issuer begins with https://.')
}
