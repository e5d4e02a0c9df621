// The providers of the server as it works with them: their rules read, their secrets open.

import type { OidcProvider, ProviderId } from '../../store/oidc-store.ts'
import type { StoreTransaction } from '../../store/store.ts'
import type { ServerSecrets } from '../server-secrets.ts'
import type { ProviderAccess } from './provider-client.ts'
import { readRules, type ProviderRules } from './provider-rules.ts'

export interface Provider extends Omit<OidcProvider, 'rules'> {
  readonly rules: ProviderRules
  /** On buttons and in sentences. */
  readonly label: string
}

export const providerOf = (row: OidcProvider): Provider => {
  const rules = readRules(row.rules)
  return { ...row, rules, label: rules.label || row.name }
}

export async function allProviders({ identity }: StoreTransaction): Promise<Provider[]> {
  return (await identity.oidc.providers()).map(providerOf)
}

export async function providerById(store: StoreTransaction, id: ProviderId): Promise<Provider | undefined> {
  return (await allProviders(store)).find((provider) => provider.id === id)
}

/** From its date on nobody signs in by it. */
export const isOver = ({ leaveAtMs }: Pick<OidcProvider, 'leaveAtMs'>, nowMs: number): boolean =>
  leaveAtMs !== undefined && leaveAtMs <= nowMs

export const secretPurpose = (name: string): string => `oidc client ${name}`

/** Undefined when the secret was sealed by another server: it must be given again. */
export function accessTo(provider: Provider, secrets: ServerSecrets): ProviderAccess | undefined {
  const { issuer, clientId, sealedSecret, name } = provider
  if (sealedSecret === undefined) return { issuer, clientId, clientSecret: undefined }
  const opened = secrets.open(secretPurpose(name), sealedSecret)
  return opened && { issuer, clientId, clientSecret: new TextDecoder().decode(opened) }
}
