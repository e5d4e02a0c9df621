import * as http from 'node:http'
import * as https from 'node:https'
import { concat } from '../base/bytes.ts'
import { abortReason } from '../base/deadline.ts'
import { ControlError, networkError } from './control-error.ts'
import { targetOf } from './server-url.ts'
import { wayOut } from './way-out.ts'

export interface PlainAnswer {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: Uint8Array
}

/**
 * One request outside the encrypted channel, with certificates checked. Throws ControlError, or the signal's reason.
 * Redirects are an answer like any other.
 */
export async function plainRequest(
  method: 'GET' | 'HEAD',
  url: URL,
  maxBytes: number,
  signal: AbortSignal,
): Promise<PlainAnswer> {
  const failure = (cause: unknown): Error => (signal.aborted ? abortReason(signal) : networkError(url.host, cause))
  const connection = await wayOut(targetOf(url), true, signal).catch((cause: unknown) => {
    throw failure(cause)
  })
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown): void => reject(failure(cause))
    const send = url.protocol === 'https:' ? https.request : http.request
    const request = send(url, { method, ...connection, signal }, (response) => {
      const parts: Uint8Array[] = []
      let length = 0
      response.on('data', (part: Uint8Array) => {
        length += part.length
        if (length > maxBytes) {
          reject(new ControlError('control/not-a-server', `The answer of ${url.host} is far longer than it should be.`))
          request.destroy()
        } else parts.push(part)
      })
      response.on('error', fail)
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: concat(...parts) }),
      )
    })
    request.on('error', fail)
    request.end()
  })
}
