// How providers are asked: encrypted, within a time, not round corners, and no more is read than a provider has to say.

import type { CustomFetchOptions } from 'oauth4webapi'

const TIMEOUT_MS = 10_000
/** Keys and addresses of the largest providers are some ten kilobytes. */
const MOST_BYTES = 512 * 1024
/** Answers without a body (Fetch §2.2.6); the constructor insists. */
const BODILESS: ReadonlySet<number> = new Set([101, 103, 204, 205, 304])

export class UnfitAnswer extends Error {}

/** For OAuth requests. `mayBePlain` is for a provider on this very machine, where nobody is on the way. */
export function boundedFetch(mayBePlain: boolean, timeoutMs = TIMEOUT_MS) {
  return async (
    url: string,
    { method, headers, body }: Pick<CustomFetchOptions<string, unknown>, 'method' | 'headers' | 'body'>,
  ): Promise<Response> => {
    const { protocol, hostname } = new URL(url)
    if (protocol !== 'https:' && !(mayBePlain && protocol === 'http:' && isLoopback(hostname)))
      throw new UnfitAnswer(`${url} is not encrypted`)
    const response = await fetch(url, {
      method,
      headers,
      ...(body instanceof URLSearchParams && { body }),
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
    })
    const bytes = await readAll(response)
    const { status, statusText } = response
    return new Response(BODILESS.has(status) ? null : bytes, { status, statusText, headers: response.headers })
  }
}

export const isLoopback = (hostname: string): boolean =>
  hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)

export async function readAll({ body }: Response, mostBytes = MOST_BYTES): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = []
  let size = 0
  // Also ends the connection when the loop is left.
  for await (const part of body ?? []) {
    size += part.byteLength
    if (size > mostBytes) throw new UnfitAnswer('the answer is too long')
    parts.push(part)
  }
  return new Uint8Array(Buffer.concat(parts))
}
