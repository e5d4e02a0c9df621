// One-time links with which a person sets how they sign in: an invitation, a way in for somebody who lost theirs, or the
// app's own "set how you sign in". Whoever has such a link is that person, so it lives briefly and works once.

import { CoordError } from '../errors.ts'
import type { User } from '../model.ts'
import type { RegistryTransaction } from '../registry.ts'
import type { EnrolPurpose, EnrolToken } from '../store/identity-store.ts'
import type { StoreTransaction } from '../store/store.ts'
import { newToken, tokenHash } from './token.ts'

const LIFE_MS: Readonly<Record<EnrolPurpose, number>> = {
  invite: 3 * 24 * 3_600_000,
  reset: 3_600_000,
  add: 15 * 60_000,
}
/** How long a used or old link is still known as one. */
const REMEMBER_MS = 7 * 24 * 3_600_000
/** Written by a server as it starts, so that links can be made while none runs. */
export const PUBLIC_URL = 'public-url'

export interface EnrolLink {
  readonly url: string
  readonly expiresAtMs: number
}

/** Links of the same person that were not used yet end with this one. */
export async function createEnrolLink(
  tx: RegistryTransaction,
  user: User,
  purpose: EnrolPurpose,
  {
    nowMs,
    actor,
    lifeMs = LIFE_MS[purpose],
  }: { readonly nowMs: number; readonly actor: string; readonly lifeMs?: number },
): Promise<EnrolLink> {
  const publicUrl = await tx.store.setting(PUBLIC_URL)
  if (publicUrl === undefined)
    throw new CoordError(
      'coord/not-found',
      'This server has not run yet, so it has no address for a link. Start it with "peerway coord serve" first.',
    )
  const { text, hash } = newToken()
  const expiresAtMs = nowMs + lifeMs
  await tx.store.identity.spendEnrolTokensOf(user.id, nowMs)
  await tx.store.identity.insertEnrolToken(
    hash,
    { userId: user.id, purpose, createdAtMs: nowMs, expiresAtMs, usedAtMs: undefined },
    nowMs - REMEMBER_MS,
  )
  await tx.audit(actor, 'enrol-link.create', `user:${user.id}`, purpose)
  return { url: `${publicUrl}/enrol/${text}`, expiresAtMs }
}

/** What an open link is good for; undefined when it is not, for whatever reason. */
export async function openEnrolLink(
  store: StoreTransaction,
  token: string,
  nowMs: number,
): Promise<{ readonly hash: Uint8Array; readonly link: EnrolToken } | undefined> {
  const hash = tokenHash(token)
  const link = hash && (await store.identity.enrolToken(hash))
  return link && link.usedAtMs === undefined && link.expiresAtMs > nowMs ? { hash, link } : undefined
}
