// Several networks on one machine, of which one is current: what is shown of them, and which one a person means.

import { randomBytes } from 'node:crypto'
import { CodedError } from '../base/errors.ts'
import type { ProfileView } from '../contract/profile-view.ts'
import type { AgentState, Profile } from './state-file.ts'

export function profileViews({ profiles, currentProfile }: AgentState): ProfileView[] {
  return profiles.map((profile) => ({
    id: profile.id,
    name: nameOf(profile),
    account: profile.loginName,
    serverUrl: profile.serverUrl,
    isCurrent: profile.id === currentProfile,
    isLoggedIn: profile.nodeKey !== undefined,
  }))
}

/** The network's own name; before it is known, the host of its server. */
const nameOf = ({ tailnetName, serverUrl }: Profile): string =>
  tailnetName || (URL.canParse(serverUrl) ? new URL(serverUrl).host : serverUrl)

/**
 * The one that is meant by its id, its network's name, its account, account@network, or its server. Throws
 * 'agent/no-profile', and 'agent/many-profiles' when it could be several.
 */
export function profileNamed(wanted: string, state: AgentState): Profile {
  const word = wanted.trim().toLowerCase()
  const byId = state.profiles.find(({ id }) => id === word)
  if (byId) return byId
  const found = state.profiles.filter((profile) => namesOf(profile).includes(word))
  const [first, second] = found
  if (!first)
    throw new CodedError('agent/no-profile', `There is no network "${wanted}" here. See peerway switch --list.`)
  if (second)
    throw new CodedError(
      'agent/many-profiles',
      `"${wanted}" could be ${found.map(({ id, loginName }) => `${id} (${loginName ?? 'no account'})`).join(' or ')}. Say which by its id.`,
    )
  return first
}

function namesOf(profile: Profile): string[] {
  const { serverUrl, loginName } = profile
  const name = nameOf(profile)
  const host = URL.canParse(serverUrl) ? [new URL(serverUrl).host, new URL(serverUrl).hostname] : []
  const account = loginName === undefined ? [] : [loginName, `${loginName}@${name}`]
  return [name, ...account, serverUrl, ...host].map((text) => text.toLowerCase())
}

export const newProfileId = (): string => randomBytes(4).toString('hex')

/** A new login under the id of a former one, by another account. */
export const isOtherAccount = (former: Profile, now: Profile): boolean =>
  former.id === now.id &&
  former.nodeKey !== undefined &&
  now.nodeKey !== undefined &&
  !former.nodeKey.public.equals(now.nodeKey.public) &&
  former.loginName !== undefined &&
  now.loginName !== undefined &&
  now.loginName !== '' &&
  former.loginName !== now.loginName

/** The same account of the same network: logging in again made the former node key void. */
export const isSameLogin = (a: Profile, b: Profile): boolean =>
  a.serverUrl === b.serverUrl &&
  a.loginName !== undefined &&
  a.loginName === b.loginName &&
  a.tailnetName !== undefined &&
  a.tailnetName === b.tailnetName
