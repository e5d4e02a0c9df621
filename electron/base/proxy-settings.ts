// Which proxy stands between us and a server, by the environment variables that most programs read: HTTPS_PROXY, HTTP_PROXY,
// ALL_PROXY for both, NO_PROXY for exceptions; each also in lower case.

import { ipToBytes, isLoopback, parsePrefix, prefixContains } from './endpoint.ts'
import { CodedError } from './errors.ts'

export type ProxyErrorCode =
  /** The variable holds no address of a proxy; whoever set it corrects it. */
  | 'proxy/bad-setting'
  /** Nothing answers at the proxy's address. Retried. */
  | 'proxy/unreachable'
  /** The proxy took the connection and then said nothing. Retried. */
  | 'proxy/silent'
  /** What answers is no proxy of the kind that the variable says. */
  | 'proxy/not-a-proxy'
  /** It wants a user name and password, others than were given, or a way to sign in that we do not speak. */
  | 'proxy/needs-login'
  /** It does not let anyone, or us, through to that server; whoever runs it acts. */
  | 'proxy/forbidden'
  /** It lets us through, but does not get to the server itself. Retried. */
  | 'proxy/no-route'
  /** Its certificate does not prove that it is the one meant. */
  | 'proxy/wrong-certificate'

export class ProxyError extends CodedError<ProxyErrorCode> {}

export interface ProxyTarget {
  /** What is spoken to the server; decides between HTTPS_PROXY and HTTP_PROXY. */
  readonly scheme: 'http' | 'https'
  /** A name, or an address without brackets. */
  readonly host: string
  readonly port: number
}

export interface Proxy {
  readonly kind: 'http' | 'https' | 'socks5'
  /** Without brackets. */
  readonly host: string
  readonly port: number
  /** The variable that names it, for messages. */
  readonly variable: string
  readonly login: ProxyLogin | undefined
}

/** Keeps the password out of anything that prints objects. */
export class ProxyLogin {
  readonly #user: string
  readonly #password: string

  constructor(user: string, password: string) {
    this.#user = user
    this.#password = password
  }

  get user(): string {
    return this.#user
  }

  get password(): string {
    return this.#password
  }
}

export type Environment = Readonly<Record<string, string | undefined>>

const DEFAULT_PORTS = { http: 80, https: 443, socks5: 1080 }
/** Of NO_PROXY; more is somebody's mistake. */
const MAX_EXCEPTIONS = 1_000

/** The proxy to go through; undefined for a straight connection. Throws ProxyError 'proxy/bad-setting'. */
export function proxyFor(target: ProxyTarget, env: Environment = process.env): Proxy | undefined {
  const own = target.scheme === 'https' ? 'HTTPS_PROXY' : 'HTTP_PROXY'
  const variable = [own, own.toLowerCase(), 'ALL_PROXY', 'all_proxy'].find((name) => env[name])
  if (variable === undefined) return undefined
  const host = target.host.toLowerCase().replace(/\.$/, '')
  // A proxy's localhost is another machine than ours.
  if (host === 'localhost' || isLoopback(host)) return undefined
  if (isException(env['NO_PROXY'] || env['no_proxy'] || '', host, target.port)) return undefined
  return parseProxy(env[variable] ?? '', variable)
}

function parseProxy(value: string, variable: string): Proxy {
  const text = value.trim()
  const whole = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`
  const url = URL.canParse(whole) ? new URL(whole) : undefined
  const scheme = url?.protocol.slice(0, -1)
  const kind = scheme === 'socks5h' ? 'socks5' : scheme
  if (!url || url.hostname === '' || (kind !== 'http' && kind !== 'https' && kind !== 'socks5'))
    throw new ProxyError(
      'proxy/bad-setting',
      // Not the value: it may hold a password.
      `${variable} holds no address of a proxy. It looks like http://proxy.example.org:3128; https:// and socks5:// work too.`,
    )
  // URL knows no usual port but those of http and https, and hides those.
  const port = Number(url.port) || DEFAULT_PORTS[kind]
  const login = url.username === '' && url.password === '' ? undefined : loginOf(url)
  return { kind, host: url.hostname.replace(/^\[|\]$/g, ''), port, variable, login }
}

function loginOf(url: URL): ProxyLogin {
  return new ProxyLogin(unescaped(url.username), unescaped(url.password))
}

/** As typed when the escapes make no sense: a "%" in a password that nobody escaped. */
function unescaped(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/**
 * "*", addresses, prefixes (10.0.0.0/8), names. A name stands for itself and all below it, with a dot before it only for
 * those below. With a port, only for that port.
 */
function isException(list: string, host: string, port: number): boolean {
  const address = ipToBytes(host)
  for (const raw of list.split(',', MAX_EXCEPTIONS)) {
    const entry = raw.trim().toLowerCase()
    if (entry === '') continue
    if (entry === '*') return true
    const prefix = entry.includes('/') ? parsePrefix(entry) : undefined
    if (prefix) {
      if (address && prefixContains(prefix, address)) return true
      continue
    }
    const [name, onlyPort] = splitPort(entry)
    if (onlyPort !== undefined && onlyPort !== port) continue
    const exact = ipToBytes(name)
    if (exact ? address && Buffer.compare(exact, address) === 0 : matchesName(name, host)) return true
  }
  return false
}

function matchesName(name: string, host: string): boolean {
  const pattern = name.startsWith('*.') ? name.slice(1) : name
  return pattern.startsWith('.') ? host.endsWith(pattern) : host === pattern || host.endsWith(`.${pattern}`)
}

/** "name:8080", "[::1]:8080", "[::1]", "::1". */
function splitPort(entry: string): readonly [string, number | undefined] {
  const [, bracketed, name, port] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(entry) ?? []
  const host = bracketed ?? name
  return host === undefined ? [entry, undefined] : [host, port === undefined ? undefined : Number(port)]
}
