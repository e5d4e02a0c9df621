import type { Readable } from 'node:stream'
import { concat } from '../../base/bytes.ts'

/** A body must be here after this long, however slowly it drips. */
const BODY_MS = 20_000

export type Body =
  | { readonly kind: 'whole'; readonly bytes: Uint8Array }
  | { readonly kind: 'too-long' }
  | { readonly kind: 'broken' }

/** The whole body of at most `maxBytes`; memory beyond that is never held. */
export function readBody(from: Readable, maxBytes: number): Promise<Body> {
  return new Promise((resolve) => {
    const chunks: Uint8Array[] = []
    let length = 0
    const timer = setTimeout(() => finish({ kind: 'broken' }), BODY_MS)
    const finish = (body: Body): void => {
      clearTimeout(timer)
      from.off('data', onData).off('end', onEnd).off('error', onBroken).off('close', onBroken)
      from.on('error', () => {}).resume()
      resolve(body)
    }
    const onData = (chunk: Uint8Array): void => {
      length += chunk.length
      if (length > maxBytes) finish({ kind: 'too-long' })
      else chunks.push(chunk)
    }
    const onEnd = (): void => finish({ kind: 'whole', bytes: concat(...chunks) })
    const onBroken = (): void => finish({ kind: 'broken' })
    from.on('data', onData).on('end', onEnd).on('error', onBroken).on('close', onBroken)
  })
}
