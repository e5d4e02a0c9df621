// What is kept of a login once its network is known, and that somebody else's sign-in does not replace it.

import type { Listeners } from '../base/lifetime.ts'
import type { AgentEvent, TailnetView } from '../contract/snapshot.ts'
import { isOtherAccount, newProfileId } from './profiles.ts'
import type { Profile } from './state-file.ts'

export interface TailnetMemoryOptions {
  /** As it was before this login. */
  readonly former: Profile
  readonly events: Listeners<AgentEvent>
  readonly save: (profile: Profile) => Promise<void>
}

/** The profile as it is from now on, which is being saved; undefined when it is known already. */
export function rememberTailnet(
  { former, events, save }: TailnetMemoryOptions,
  now: Profile,
  { name, account }: TailnetView,
): { readonly profile: Profile; readonly saved: Promise<void> } | undefined {
  const isOther = isOtherAccount(former, { ...now, loginName: account })
  if (!isOther && name === now.tailnetName && account === now.loginName) return undefined
  const profile = { ...now, id: isOther ? newProfileId() : now.id, tailnetName: name, loginName: account }
  if (!isOther) return { profile, saved: save(profile) }
  // Somebody logged in again as another: the login from before is still one, and theirs is a new one beside it.
  events.emit({
    type: 'notice',
    code: 'agent/other-account',
    text: `Signed in as ${account}. The sign-in as ${former.loginName ?? 'another'} is kept: change back to it in the list of networks.`,
  })
  return { profile, saved: Promise.all([save(former), save(profile)]).then(() => {}) }
}
