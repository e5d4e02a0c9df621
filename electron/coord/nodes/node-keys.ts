// How long node keys of people count. Machines with tags stand somewhere by themselves, with nobody before them to log in
// again: their keys never run out.

import { type KeptSetting, recordOf } from '../kept-settings.ts'
import { isExpired, type Node, type NodeId } from '../model.ts'

export interface NodeKeySettings {
  /** Undefined is for ever. */
  readonly lifetimeMs: number | undefined
  /** A machine that is there when half of that is over gets the whole again, and nobody notices. */
  readonly renew: boolean
  /** Whose end somebody chose: it stays. */
  readonly fixed: ReadonlySet<NodeId>
}

export const nodeKeys: KeptSetting<NodeKeySettings> = {
  name: 'node-keys',
  parse(text) {
    const { lifetimeMs, renew, fixed } = recordOf(text)
    return {
      lifetimeMs: typeof lifetimeMs === 'number' && lifetimeMs > 0 ? lifetimeMs : undefined,
      renew: renew !== false,
      fixed: new Set(Array.isArray(fixed) ? fixed.filter((id) => typeof id === 'number') : []),
    }
  },
}

export function nodeKeysText({ lifetimeMs, renew, fixed }: NodeKeySettings): string {
  return JSON.stringify({ lifetimeMs, renew, fixed: [...fixed] })
}

/** When a key made now ends: by rule or earlier, as the client wished. */
export function keyEndsAt(
  { lifetimeMs }: NodeKeySettings,
  node: { readonly tags: readonly string[]; readonly wishMs: number | undefined },
  nowMs: number,
): number | undefined {
  if (node.tags.length > 0) return undefined
  if (lifetimeMs === undefined) return node.wishMs
  return Math.min(node.wishMs ?? Number.POSITIVE_INFINITY, nowMs + lifetimeMs)
}

/** Those of the nodes whose keys are due for renewal. */
export function dueForRenewal(
  { lifetimeMs, renew, fixed }: NodeKeySettings,
  nodes: Iterable<Node>,
  isOnline: (id: NodeId) => boolean,
  nowMs: number,
): Node[] {
  if (lifetimeMs === undefined || !renew) return []
  return [...nodes].filter(
    (node) =>
      node.expiresAtMs !== undefined &&
      !isExpired(node, nowMs) &&
      node.expiresAtMs - nowMs <= lifetimeMs / 2 &&
      !fixed.has(node.id) &&
      isOnline(node.id),
  )
}
