// Machines that were carried over and may not have come yet, and the auth keys by which each is known again.

import { type KeptSetting, recordOf } from '../kept-settings.ts'
import type { Node, NodeId } from '../model.ts'
import type { Registry } from '../registry.ts'

/** Node number to the key that it had on the other server. */
export const importedNodes: KeptSetting<ReadonlyMap<NodeId, string>> = {
  name: 'imported-nodes',
  parse: (text) =>
    new Map(
      Object.entries(recordOf(text)).flatMap(([id, key]) =>
        /^\d+$/.test(id) && typeof key === 'string' ? [[Number(id), key] as const] : [],
      ),
    ),
}

/** Auth key to the node that joins by it. */
export const rejoinKeys: KeptSetting<ReadonlyMap<string, NodeId>> = {
  name: 'rejoin-keys',
  parse: (text) =>
    new Map(
      Object.entries(recordOf(text)).flatMap(([key, id]) =>
        typeof id === 'number' && Number.isSafeInteger(id) ? [[key, id] as const] : [],
      ),
    ),
}

/** `foreignKey` is the node key it had on the other server. */
export const hasMoved = (node: Node, foreignKey: string): boolean =>
  node.nodeKey.text !== foreignKey || node.report.capVersion > 0

/** The place that is kept for whoever brings this auth key; taken once. */
export function reservedFor(registry: Registry, authKeyId: string): Node | undefined {
  const id = registry.kept(rejoinKeys).get(authKeyId)
  const node = id === undefined ? undefined : registry.node(id)
  const foreignKey = node && registry.kept(importedNodes).get(node.id)
  return foreignKey !== undefined && !hasMoved(node as Node, foreignKey) ? node : undefined
}
