// Networks of this machine as a stock command line asks for them: /localapi/v0/profiles/… (client/local and ipn/prefs.go of
// the reference, LoginProfile).

import { isCoded } from '../base/errors.ts'
import type { AgentHandlers } from '../contract/calls.ts'
import type { ProfileView } from '../contract/profile-view.ts'

const ROOT = '/localapi/v0/profiles/'

export interface LocalAnswer {
  readonly status: number
  readonly body?: unknown
}

/** Undefined for a path that is not about profiles. */
export async function answerProfiles(
  method: string,
  path: string,
  profiles: readonly ProfileView[],
  handlers: Pick<AgentHandlers, 'agent.switch' | 'agent.removeProfile'>,
): Promise<LocalAnswer | undefined> {
  if (!path.startsWith(ROOT)) return undefined
  const id = decode(path.slice(ROOT.length))
  if (method === 'GET' && id === '') return { status: 200, body: profiles.map(loginProfile) }
  if (method === 'GET' && id === 'current') return { status: 200, body: loginProfile(profiles.find(isCurrent)) }
  if (method === 'GET') {
    const found = profiles.find((profile) => profile.id === id)
    return found ? { status: 200, body: loginProfile(found) } : { status: 404, body: { error: 'Profile not found' } }
  }
  const act = method === 'POST' ? 'agent.switch' : method === 'DELETE' ? 'agent.removeProfile' : undefined
  if (!act || id === '') return { status: 405, body: { error: 'use peerway login to join another network' } }
  try {
    await handlers[act]({ profile: id })
    return { status: 204 }
  } catch (error) {
    if (!isCoded(error)) throw error
    return { status: error.code === 'agent/no-profile' ? 404 : 400, body: { error: error.message } }
  }
}

const isCurrent = (profile: ProfileView): boolean => profile.isCurrent

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return ''
  }
}

/** Empty where there is none, as there. */
function loginProfile(profile: ProfileView | undefined): Record<string, unknown> {
  return {
    ID: profile?.id ?? '',
    Name: profile?.account ?? profile?.name ?? '',
    NetworkProfile: { MagicDNSName: '', DomainName: profile?.name ?? '', DisplayName: profile?.name ?? '' },
    Key: profile ? `profile-${profile.id}` : '',
    UserProfile: { ID: 0, LoginName: profile?.account ?? '', DisplayName: profile?.account ?? '' },
    NodeID: '',
    LocalUserID: '',
    ControlURL: profile?.serverUrl ?? '',
  }
}
