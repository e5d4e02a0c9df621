import { CodedError } from '../base/errors.ts'

/** "home.example:8480" and "http://home.example:8480/" name the same server. Throws 'agent/bad-server-url'. */
export function normalServerUrl(text: string): string {
  const trimmed = text.trim()
  let url: URL
  try {
    url = new URL(/^[a-z]+:\/\//i.test(trimmed) ? trimmed : `https://${trimmed}`)
  } catch {
    throw new CodedError(
      'agent/bad-server-url',
      `"${trimmed}" is not an address. It looks like https://net.example.org or http://192.168.1.10:8480.`,
    )
  }
  if (
    (url.protocol !== 'http:' && url.protocol !== 'https:') ||
    url.hostname === '' ||
    url.username !== '' ||
    url.password !== ''
  )
    throw new CodedError(
      'agent/bad-server-url',
      `"${trimmed}" is not the address of a coordination server. It starts with https:// or http://.`,
    )
  return url.origin
}
