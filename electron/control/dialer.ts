// From a URL to an encrypted stream: the server's key over HTTP(S), one HTTP request that switches protocol, the Noise
// handshake (control.md §2.1 to §2.4).

import * as http from 'node:http'
import * as https from 'node:https'
import type { Duplex } from 'node:stream'
import { abortReason } from '../base/deadline.ts'
import { isCoded } from '../base/errors.ts'
import type { MachinePrivate, MachinePublic } from '../crypto/keys.ts'
import { clientHandshake, REPLY_HEADER_BYTES, replyBytes } from '../wire/noise/handshake.ts'
import { NoiseStream } from '../wire/noise/noise-stream.ts'
import { keyResponse } from '../wire/tailcfg/register.ts'
import { parseMessage } from '../wire/tailcfg/schema.ts'
import { ControlError, networkError } from './control-error.ts'
import { plainRequest } from './plain-request.ts'
import { type DialWay, dialHost, dialWays } from './server-url.ts'
import { wayOut } from './way-out.ts'

const PROTOCOL = 'tailscale-control-protocol'
const HANDSHAKE_HEADER = 'X-Tailscale-Handshake'
const KEY_DEADLINE_MS = 10_000
const DIAL_DEADLINE_MS = 10_000
const MAX_KEY_ANSWER_BYTES = 64 * 1024
const MAX_REDIRECTS = 3

/** The server's Noise key; with https the certificate vouches for it. Throws ControlError, or the signal's reason. */
export async function fetchServerKey(server: URL, version: number, signal: AbortSignal): Promise<MachinePublic> {
  const deadline = AbortSignal.timeout(KEY_DEADLINE_MS)
  const either = AbortSignal.any([signal, deadline])
  let url = new URL(`/key?v=${version}`, server)
  try {
    for (let hops = 0; ; hops++) {
      const answer = await plainRequest('GET', url, MAX_KEY_ANSWER_BYTES, either)
      const next = redirectOf(answer.status, answer.headers.location, url)
      if (next && hops < MAX_REDIRECTS) {
        url = next
        continue
      }
      if (answer.status !== 200) throw notAServer(server, `It answers ${answer.status} where its key should be.`)
      return parseServerKey(server, answer.body)
    }
  } catch (error) {
    throw deadline.aborted && !signal.aborted ? networkError(server.host, error) : error
  }
}

/** Never from https to http: that would have anyone on the way choose the key. */
function redirectOf(status: number, location: string | undefined, from: URL): URL | undefined {
  if (![301, 302, 303, 307, 308].includes(status) || location === undefined || !URL.canParse(location, from))
    return undefined
  const to = new URL(location, from)
  return to.protocol === 'https:' || (to.protocol === 'http:' && from.protocol === 'http:') ? to : undefined
}

function parseServerKey(server: URL, body: Uint8Array): MachinePublic {
  let key: MachinePublic | undefined
  try {
    key = parseMessage(keyResponse, body).publicKey
  } catch (cause) {
    throw notAServer(server, 'What it sends in place of its key is no key.', cause)
  }
  if (!key) throw notAServer(server, 'It has no key: it is older than this protocol.')
  return key
}

function notAServer(server: URL, reason: string, cause?: unknown): ControlError {
  return new ControlError(
    'control/not-a-server',
    `Something answers at ${server.host}, but it is no coordination server. ${reason} Check the address, or ask the owner for an invite link.`,
    { cause },
  )
}

export interface DialInput {
  readonly server: URL
  readonly serverKey: MachinePublic
  readonly machineKey: MachinePrivate
  readonly version: number
  /** What the address says (`dialWays`) when left out. */
  readonly ways?: readonly DialWay[]
}

/**
 * The first way that gets through wins, the others are hung up. Throws ControlError ('control/wrong-key' when another
 * server holds the address than the one the key belongs to), or the signal's reason.
 */
export async function dialControl(input: DialInput, signal: AbortSignal): Promise<NoiseStream> {
  const deadline = AbortSignal.timeout(DIAL_DEADLINE_MS)
  const decided = new AbortController()
  const stop = AbortSignal.any([signal, deadline, decided.signal])
  const ways = input.ways ?? dialWays(input.server)
  const failures: unknown[] = []
  try {
    return await new Promise<NoiseStream>((resolve, reject) => {
      let next = 0
      let timer: NodeJS.Timeout | undefined
      const startNext = (): void => {
        clearTimeout(timer)
        const way = ways[next++]
        if (!way) return
        const following = ways[next]
        if (following) timer = setTimeout(startNext, following.afterMs)
        tryWay(input, way, stop).then(
          (stream) => {
            clearTimeout(timer)
            if (decided.signal.aborted) stream.destroy()
            else resolve(stream)
          },
          (error: unknown) => {
            failures.push(error)
            if (failures.length === ways.length) reject(mostTelling(failures))
            else if (next < ways.length) startNext()
          },
        )
      }
      stop.addEventListener('abort', () => {
        clearTimeout(timer)
        reject(signal.aborted ? abortReason(signal) : (failures[0] ?? networkError(input.server.host, deadline.reason)))
      })
      if (stop.aborted) reject(abortReason(stop))
      else startNext()
    })
  } catch (error) {
    throw signal.aborted ? abortReason(signal) : error
  } finally {
    decided.abort()
  }
}

/** A wrong key or a refusal says more than "did not connect". */
function mostTelling(failures: readonly unknown[]): unknown {
  return failures.find((error) => !isCoded(error, 'control/unreachable')) ?? failures[0]
}

async function tryWay(input: DialInput, way: DialWay, signal: AbortSignal): Promise<NoiseStream> {
  const { server, serverKey } = input
  const handshake = clientHandshake(input.version, input.machineKey, serverKey)
  const socket = await upgrade(server, way, handshake.initiation, signal)
  try {
    const header = await readExactly(socket, REPLY_HEADER_BYTES, signal)
    const body = await readExactly(socket, replyBytes(header) - REPLY_HEADER_BYTES, signal)
    const keys = handshake.finish(Buffer.concat([header, body]))
    // The challenge asks for nothing yet; taking it off the stream is all there is to do.
    return new NoiseStream(socket, keys, { onEarlyPayload: () => {} })
  } catch (error) {
    socket.destroy()
    // Servers hang up without a word on an initiation that was made for another key.
    if (isCoded(error, 'crypto/noise-failed') || error instanceof HungUp)
      throw new ControlError(
        'control/wrong-key',
        `The server at ${server.host} is not the one whose key was announced. Something between here and there interferes, or the server has just changed its key; the next attempt asks again.`,
        { cause: error },
      )
    if (isCoded(error, 'wire/handshake-refused'))
      throw new ControlError('control/refused', error.message, { cause: error })
    if (isCoded(error) && error.code.startsWith('wire/')) throw notAServer(server, 'It does not encrypt as one.', error)
    throw isCoded(error) || signal.aborted ? error : networkError(server.host, error)
  }
}

async function upgrade(server: URL, way: DialWay, initiation: Uint8Array, signal: AbortSignal): Promise<Duplex> {
  const host = dialHost(server)
  // Noise authenticates the server, by a key that came over a verified connection; what certificate a box on the way shows
  // adds nothing.
  const connection = await wayOut({ scheme: way.scheme, host, port: way.port }, false, signal).catch(
    (cause: unknown) => {
      throw signal.aborted ? abortReason(signal) : networkError(server.host, cause)
    },
  )
  return new Promise((resolve, reject) => {
    const request = (way.scheme === 'https' ? https.request : http.request)({
      method: 'POST',
      host,
      port: way.port,
      path: '/ts2021',
      ...connection,
      signal,
      headers: {
        Host: server.host,
        Upgrade: PROTOCOL,
        Connection: 'upgrade',
        [HANDSHAKE_HEADER]: Buffer.from(initiation).toString('base64'),
        'Content-Length': 0,
      },
    })
    request.on('error', (cause) => reject(signal.aborted ? abortReason(signal) : networkError(server.host, cause)))
    request.on('response', (response) => {
      response.destroy()
      reject(
        new ControlError(
          'control/not-a-server',
          `The server at ${server.host} answers ${response.statusCode ?? 0} instead of opening the encrypted channel. If a proxy stands before it, its owner must let the "Upgrade" header and POST through.`,
        ),
      )
    })
    request.on('upgrade', (response, socket, head) => {
      if (response.headers.upgrade?.toLowerCase() !== PROTOCOL) {
        socket.destroy()
        reject(notAServer(server, 'It switches to another protocol than was asked for.'))
        return
      }
      socket.on('error', () => {})
      if (head.length > 0) socket.unshift(head)
      resolve(socket)
    })
    request.end()
  })
}

class HungUp extends Error {}

/** Exactly `count` bytes off a paused stream, the rest left in it. */
function readExactly(stream: Duplex, count: number, signal: AbortSignal): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const settle = (finish: () => void): void => {
      stream.off('readable', read)
      stream.off('error', onEnd)
      stream.off('end', onEnd)
      stream.off('close', onEnd)
      signal.removeEventListener('abort', onAbort)
      finish()
    }
    const read = (): void => {
      const bytes = count === 0 ? Buffer.alloc(0) : (stream.read(count) as Buffer | null)
      // At its end a stream hands out what is left, though it is less.
      if (bytes && bytes.length === count) settle(() => resolve(bytes))
      else if (bytes) settle(() => reject(new HungUp('the connection ended')))
    }
    const onEnd = (error?: Error): void => settle(() => reject(error ?? new HungUp('the connection ended')))
    const onAbort = (): void => settle(() => reject(abortReason(signal)))
    stream.on('readable', read)
    stream.on('error', onEnd)
    stream.on('end', onEnd)
    stream.on('close', onEnd)
    signal.addEventListener('abort', onAbort)
    if (signal.aborted) onAbort()
    else read()
  })
}
