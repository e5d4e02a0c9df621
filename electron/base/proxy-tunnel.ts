// A connection through a proxy: HTTP CONNECT (RFC 9110 §9.3.6) with basic login, and SOCKS5 (RFC 1928, RFC 1929).

import { connect as tcpConnect, isIP, type Socket } from 'node:net'
import { connect as tlsConnect } from 'node:tls'
import { abortReason, withDeadline } from './deadline.ts'
import { ipToBytes, joinEndpoint } from './endpoint.ts'
import { codeOf, messageOf } from './errors.ts'
import { type Proxy, ProxyError, type ProxyTarget } from './proxy-settings.ts'

/** To the proxy itself, which is near; TLS with it included. */
const REACH_MS = 3_000
/** The proxy's own search for the server is part of this. */
const ANSWER_MS = 6_000
const NEXT_ADDRESS_MS = 250
/** Of its answer. Filters like to explain themselves; what they say after the headers is not read. */
const MAX_ANSWER_BYTES = 16 * 1024
const END_OF_HEADERS = '\r\n\r\n'

/** The proxy as its owner knows it. */
export const nameOf = ({ host, port }: Proxy): string => (isIP(host) ? joinEndpoint(host, port) : `${host}:${port}`)

/**
 * A paused stream to the server, on which the proxy has said its last word. Throws ProxyError, or what `signal` was aborted
 * with.
 */
export async function connectThrough(proxy: Proxy, target: ProxyTarget, signal: AbortSignal): Promise<Socket> {
  // From a map or a redirect: nothing that could end the line and say more to the proxy than its address.
  if (!/^[\w.:-]{1,255}$/.test(target.host))
    throw new ProxyError('proxy/forbidden', `The proxy ${nameOf(proxy)} is not asked for a host of that name.`)
  const socket = await reach(proxy, signal)
  try {
    const asked = proxy.kind === 'socks5' ? socksTo(socket, proxy, target) : httpTo(socket, proxy, target)
    const silent = (): ProxyError =>
      new ProxyError(
        'proxy/silent',
        `The proxy ${nameOf(proxy)} does not answer when asked for ${target.host}. Check ${proxy.variable}, or ask whoever runs the proxy.`,
      )
    await withAbort(withDeadline(asked, ANSWER_MS, silent), signal)
    return socket
  } catch (error) {
    socket.destroy()
    throw error
  }
}

async function reach(proxy: Proxy, signal: AbortSignal): Promise<Socket> {
  const { host, port } = proxy
  const tcp = { host, port, noDelay: true, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_MS }
  const isTls = proxy.kind === 'https'
  const socket = isTls ? tlsConnect({ ...tcp, ...(isIP(host) === 0 && { servername: host }) }) : tcpConnect(tcp)
  socket.on('error', () => {}) // one that comes later than the one we act on must not end the process
  const connected = new Promise<void>((resolve, reject) => {
    socket.once(isTls ? 'secureConnect' : 'connect', resolve)
    socket.once('error', (cause) => reject(unreachable(proxy, cause)))
    socket.once('close', () => reject(unreachable(proxy, undefined)))
  })
  try {
    await withAbort(
      withDeadline(connected, REACH_MS, () => unreachable(proxy, undefined)),
      signal,
    )
    return socket
  } catch (error) {
    socket.destroy()
    throw error
  }
}

function unreachable(proxy: Proxy, cause: unknown): ProxyError {
  if (/CERT|ALTNAME|VERIFY/.test(codeOf(cause) ?? ''))
    return new ProxyError(
      'proxy/wrong-certificate',
      `The proxy ${nameOf(proxy)} cannot prove that it is ${proxy.host}: ${messageOf(cause)}. Ask whoever runs the proxy.`,
      { cause },
    )
  const why = cause === undefined ? 'It did not answer in time, or hung up.' : `${codeOf(cause) ?? messageOf(cause)}.`
  return new ProxyError(
    'proxy/unreachable',
    `No proxy answers at ${nameOf(proxy)}, which ${proxy.variable} names. ${why} Correct or unset ${proxy.variable}, or start the proxy.`,
    { cause },
  )
}

async function httpTo(socket: Socket, proxy: Proxy, target: ProxyTarget): Promise<void> {
  const at = target.host.includes(':') ? `[${target.host}]:${target.port}` : `${target.host}:${target.port}`
  const { login } = proxy
  const secret = login && Buffer.from(`${login.user}:${login.password}`).toString('base64')
  const lines = [`CONNECT ${at} HTTP/1.1`, `Host: ${at}`, ...(secret ? [`Proxy-Authorization: Basic ${secret}`] : [])]
  socket.write(`${lines.join('\r\n')}${END_OF_HEADERS}`)
  const answer = await readUntil(socket, proxy, (bytes) => {
    const end = bytes.indexOf(END_OF_HEADERS)
    // Told at the first bytes, or something that talks for ever would be listened to for 16 KiB.
    if (!'HTTP/1.'.startsWith(bytes.toString('latin1', 0, 7))) throw notAProxy(proxy)
    return end < 0 ? undefined : end + END_OF_HEADERS.length
  })
  const text = answer.toString('latin1')
  const status = Number(/^HTTP\/1\.[01] (\d{3})[ \r]/.exec(text)?.[1] ?? Number.NaN)
  if (status >= 200 && status < 300) return
  throw refusalOf(status, text, proxy, at)
}

function refusalOf(status: number, answer: string, proxy: Proxy, at: string): ProxyError {
  const name = nameOf(proxy)
  // 401: Debian's tinyproxy, to a password that is wrong.
  if (status === 407 || status === 401) {
    const schemes = [...answer.matchAll(/^proxy-authenticate:\s*([\w-]{1,32})/gim)].map(([, scheme = '']) => scheme)
    const takesBasic = schemes.length === 0 || schemes.some((scheme) => scheme.toLowerCase() === 'basic')
    const next = !takesBasic
      ? `It offers only ${schemes.slice(0, 3).join(', ')}, which Peerway does not speak: ask whoever runs it for Basic, or to let ${at} through without.`
      : proxy.login
        ? `It does not take those in ${proxy.variable}: correct them there.`
        : `Put them into ${proxy.variable}: http://user:password@${name}`
    return new ProxyError('proxy/needs-login', `The proxy ${name} wants a user name and password. ${next}`)
  }
  if (status >= 500)
    return new ProxyError(
      'proxy/no-route',
      `The proxy ${name} does not get to ${at} (it says ${status}). Check that the server runs, or ask whoever runs the proxy.`,
    )
  if (status >= 400)
    return new ProxyError(
      'proxy/forbidden',
      `The proxy ${name} does not let us through to ${at} (it says ${status}). Ask whoever runs it to allow CONNECT to ${at}; if it can be reached without the proxy, add it to NO_PROXY.`,
    )
  return notAProxy(proxy)
}

function notAProxy(proxy: Proxy): ProxyError {
  return new ProxyError(
    'proxy/not-a-proxy',
    `What answers at ${nameOf(proxy)} is no ${proxy.kind === 'socks5' ? 'SOCKS5' : 'HTTP'} proxy. Correct ${proxy.variable}.`,
  )
}

const SOCKS = 5
const NO_LOGIN = 0
const PASSWORD = 2
const NONE_TAKEN = 0xff

async function socksTo(socket: Socket, proxy: Proxy, target: ProxyTarget): Promise<void> {
  const { login } = proxy
  socket.write(Uint8Array.from(login ? [SOCKS, 2, NO_LOGIN, PASSWORD] : [SOCKS, 1, NO_LOGIN]))
  const [version, method] = await readUntil(socket, proxy, exactly(2))
  if (version !== SOCKS) throw notAProxy(proxy)
  if (method === PASSWORD && login) {
    const [user, password] = [Buffer.from(login.user), Buffer.from(login.password)]
    if (user.length > 255 || password.length > 255)
      throw new ProxyError('proxy/bad-setting', `The user name or password in ${proxy.variable} is too long.`)
    socket.write(Buffer.concat([Uint8Array.from([1, user.length]), user, Uint8Array.from([password.length]), password]))
    const [, status] = await readUntil(socket, proxy, exactly(2))
    if (status !== 0) throw socksLogin(proxy)
  } else if (method === NONE_TAKEN || method === PASSWORD) throw socksLogin(proxy)
  else if (method !== NO_LOGIN) throw notAProxy(proxy)

  const address = ipToBytes(target.host)
  const name = Buffer.from(target.host)
  const where = address
    ? [Uint8Array.from([address.length === 4 ? 1 : 4]), address]
    : [Uint8Array.from([3, name.length]), name]
  const port = Uint8Array.from([target.port >> 8, target.port & 0xff])
  socket.write(Buffer.concat([Uint8Array.from([SOCKS, 1, 0]), ...where, port]))
  const [, reply] = await readUntil(socket, proxy, (bytes) => {
    if (bytes.length < 5) return undefined
    const addressBytes = { 1: 4, 3: 1 + (bytes[4] ?? 0), 4: 16 }[bytes[3] ?? 0]
    if (bytes[0] !== SOCKS || addressBytes === undefined) throw notAProxy(proxy)
    const all = 4 + addressBytes + 2
    return bytes.length >= all ? all : undefined
  })
  if (reply === 0) return
  const at = `${target.host} port ${target.port}`
  if (reply === 2)
    throw new ProxyError(
      'proxy/forbidden',
      `The proxy ${nameOf(proxy)} does not let us through to ${at}. Ask whoever runs it to allow that.`,
    )
  throw new ProxyError(
    'proxy/no-route',
    `The proxy ${nameOf(proxy)} does not get to ${at} (it says ${reply ?? 'nothing'}). Check that the server runs, or ask whoever runs the proxy.`,
  )
}

function socksLogin(proxy: Proxy): ProxyError {
  const next = proxy.login
    ? `It does not take those in ${proxy.variable}: correct them there.`
    : `Put them into ${proxy.variable}: socks5://user:password@${nameOf(proxy)}`
  return new ProxyError('proxy/needs-login', `The proxy ${nameOf(proxy)} wants a user name and password. ${next}`)
}

const exactly =
  (count: number) =>
  (bytes: Buffer): number | undefined =>
    bytes.length >= count ? count : undefined

/** Bytes until `lengthOf` knows how many belong to the answer; what came after them goes back into the paused stream. */
function readUntil(socket: Socket, proxy: Proxy, lengthOf: (bytes: Buffer) => number | undefined): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let bytes = Buffer.alloc(0)
    const settle = (finish: () => void): void => {
      socket.off('readable', read)
      socket.off('error', ended)
      socket.off('end', ended)
      socket.off('close', ended)
      finish()
    }
    const ended = (): void => settle(() => reject(notAProxy(proxy)))
    const read = (): void => {
      for (let chunk = socket.read() as Buffer | null; chunk; chunk = socket.read() as Buffer | null) {
        bytes = Buffer.concat([bytes, chunk])
        let length: number | undefined
        try {
          length = lengthOf(bytes)
          if (length === undefined && bytes.length > MAX_ANSWER_BYTES) throw notAProxy(proxy)
        } catch (error) {
          settle(() => reject(error instanceof Error ? error : new Error(String(error))))
          return
        }
        if (length === undefined) continue
        const [answer, rest] = [bytes.subarray(0, length), bytes.subarray(length)]
        settle(() => {
          if (rest.length > 0) socket.unshift(rest)
          resolve(answer)
        })
        return
      }
    }
    socket.on('readable', read)
    socket.on('error', ended)
    socket.on('end', ended)
    socket.on('close', ended)
    read()
  })
}

async function withAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) {
    promise.catch(() => {})
    throw abortReason(signal)
  }
  let abort: (() => void) | undefined
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(abortReason(signal))
    signal.addEventListener('abort', abort, { once: true })
  })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    if (abort) signal.removeEventListener('abort', abort)
  }
}
