// A network that this machine has joined, with the account it joined as.

export interface ProfileView {
  readonly id: string
  /** The network's name; before it is known, the host of its server. */
  readonly name: string
  /** The login name; undefined before it is known. */
  readonly account: string | undefined
  readonly serverUrl: string
  readonly isCurrent: boolean
  /** False after a logout: joining again needs a person or a key. */
  readonly isLoggedIn: boolean
}
