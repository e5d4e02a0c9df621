// Who makes the first account owns the server, so a stranger who finds it before its owner does must not: the first account
// takes a code that only the server's own terminal shows. Nobody is let off: a page on the same computer may in truth be
// anybody's, through a proxy or a forwarded port.

import { equalBytes } from '../../base/bytes.ts'
import type { StoreTransaction } from '../store/store.ts'
import { readCode, type Code } from './codes.ts'
import type { ServerSecrets } from './server-secrets.ts'

/** How often a code was used; a server whose last account was deleted gets another one. */
const ROUND = 'setup-round'

export async function setupCode(store: StoreTransaction, secrets: ServerSecrets): Promise<Code> {
  return secrets.setupCode(await roundOf(store))
}

export async function isSetupCode(store: StoreTransaction, secrets: ServerSecrets, typed: string): Promise<boolean> {
  const code = readCode(typed)
  return code !== undefined && equalBytes(Buffer.from(code), Buffer.from(await setupCode(store, secrets)))
}

export async function spendSetupCode(store: StoreTransaction, secrets: ServerSecrets, typed: string): Promise<boolean> {
  if (!(await isSetupCode(store, secrets, typed))) return false
  await store.setSetting(ROUND, String((await roundOf(store)) + 1))
  return true
}

const roundOf = async (store: StoreTransaction): Promise<number> => Number((await store.setting(ROUND)) ?? 0)
