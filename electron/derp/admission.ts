import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { systemClock, type Clock } from '../base/clock.ts'
import type { IpAddress } from '../base/endpoint.ts'
import { silentLogger, type Logger } from '../base/log.ts'
import type { NodePublic } from '../crypto/keys.ts'

export interface UrlAdmissionOptions {
  /** Asked by POST with `{"NodePublic": …, "Source": …}`; answers `{"Allow": true}` (control.md §3.4). */
  readonly url: string
  readonly clock?: Clock
  readonly log?: Logger
}

const TIMEOUT_MS = 4_000
const MAX_ANSWER_BYTES = 4 * 1024
/** While nobody answers at the URL, nodes that it allowed within this time stay welcome; others are not. */
const REMEMBERED_MS = 24 * 60 * 60 * 1000
const MAX_REMEMBERED = 20_000

/** An admission check that asks a coordination server. It fails closed, except for nodes it knows from before. */
export function urlAdmission(options: UrlAdmissionOptions): (key: NodePublic, source: IpAddress) => Promise<boolean> {
  const clock = options.clock ?? systemClock
  const log = options.log ?? silentLogger
  const allowedMs = new Map<string, number>()
  const url = new URL(options.url)

  return async (key, source) => {
    let isAllowed: boolean
    try {
      isAllowed = await ask(url, JSON.stringify({ NodePublic: key.text, Source: source }))
    } catch (error) {
      const at = allowedMs.get(key.text)
      const isKnown = at !== undefined && clock.now() - at < REMEMBERED_MS
      log.warn('the admission URL does not answer', { url: url.origin, isKnown, error })
      return isKnown
    }
    allowedMs.delete(key.text)
    if (!isAllowed) return false
    allowedMs.set(key.text, clock.now())
    if (allowedMs.size > MAX_REMEMBERED)
      for (const oldest of allowedMs.keys()) {
        allowedMs.delete(oldest)
        break
      }
    return true
  }
}

/** Any answer but 200 with JSON is a failure, not a no. */
function ask(url: URL, body: string): Promise<boolean> {
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest
  return new Promise((resolve, reject) => {
    const request = send(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    request.on('error', reject)
    request.on('response', (response) => {
      const chunks: Buffer[] = []
      let bytes = 0
      response.on('error', reject)
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes <= MAX_ANSWER_BYTES) {
          chunks.push(chunk)
          return
        }
        reject(new Error('the answer is too long'))
        request.destroy()
      })
      response.on('end', () => {
        try {
          if (response.statusCode !== 200) throw new Error(`status ${response.statusCode ?? 0}`)
          const answer: unknown = JSON.parse(Buffer.concat(chunks).toString())
          resolve(typeof answer === 'object' && answer !== null && 'Allow' in answer && answer.Allow === true)
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)))
        }
      })
    })
    request.end(body)
  })
}
