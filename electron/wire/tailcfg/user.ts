import { always, type In, list, omit, type Out, struct } from './schema.ts'
import { id, text } from './scalars.ts'

/** Reference: tailscale tailcfg/tailcfg.go, types User, Login, UserProfile. */
export const user = struct({
  id: always('ID', id),
  displayName: always('DisplayName', text),
  profilePicUrl: omit('ProfilePicURL', text),
})
export interface User extends Out<typeof user> {}

export const login = struct({
  id: always('ID', id),
  provider: always('Provider', text),
  loginName: always('LoginName', text),
  displayName: always('DisplayName', text),
  profilePicUrl: omit('ProfilePicURL', text),
})
export interface Login extends Out<typeof login> {}

export const userProfile = struct({
  id: always('ID', id),
  loginName: always('LoginName', text),
  displayName: always('DisplayName', text),
  profilePicUrl: omit('ProfilePicURL', text),
  groups: omit('Groups', list(text)),
})
export interface UserProfile extends Out<typeof userProfile> {}
export type UserProfileInput = In<typeof userProfile>
