// What a person types or pastes to join: an address, or the whole line of an invite.

export interface JoinInput {
  readonly serverUrl: string
  readonly authKey: string | undefined
}

/** Undefined when no server can be read from it. */
export function readJoinInput(text: string): JoinInput | undefined {
  const line = text.trim()
  const flag = (name: string): string | undefined => new RegExp(`--${name}[=\\s]+(\\S+)`).exec(line)?.[1]
  const named = flag('login-server')
  if (named !== undefined) {
    const serverUrl = serverUrlOf(named)
    return serverUrl === undefined ? undefined : { serverUrl, authKey: flag('auth-key') ?? flag('authkey') }
  }
  const serverUrl = serverUrlOf(line)
  return serverUrl === undefined ? undefined : { serverUrl, authKey: undefined }
}

/** "home.example.org" means https; an address with a port or in a private network without a scheme means http. */
export function serverUrlOf(text: string): string | undefined {
  const typed = text.trim().replace(/\/+$/, '')
  if (typed === '' || /\s/.test(typed)) return undefined
  const url = tryUrl(/^[a-z][a-z0-9+.-]*:\/\//i.test(typed) ? typed : `${guessScheme(typed)}://${typed}`)
  if (!url || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') return undefined
  if (!isHost(url.hostname) || url.pathname !== '/' || url.search !== '' || url.hash !== '') return undefined
  return url.origin
}

const guessScheme = (typed: string): string => (isBareAddress(typed) ? 'http' : 'https')

/** A literal address, or localhost: nobody has a certificate for these. */
const isBareAddress = (typed: string): boolean =>
  /^(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-f:.]+\]|localhost)(:\d+)?$/i.test(typed)

const isHost = (host: string): boolean =>
  host === 'localhost' ||
  /^\[[0-9a-f:.]+\]$/i.test(host) ||
  /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)+\.?$/i.test(host)

function tryUrl(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined
}

export const hostOf = (serverUrl: string): string => tryUrl(serverUrl)?.host ?? serverUrl

/** The line of an invite, as a terminal takes it. */
export const inviteLine = (serverUrl: string, authKey: string): string =>
  `peerway up --login-server ${serverUrl} --auth-key ${authKey}`
