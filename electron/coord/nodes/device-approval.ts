// Whether a new machine waits until somebody who runs the network approves it. While it waits it is signed in and knows its
// own address, but sees nobody and is seen by nobody.

import { type KeptSetting, recordOf } from '../kept-settings.ts'
import type { NodeId } from '../model.ts'
import type { RegistryTransaction } from '../registry.ts'

export const APPROVAL_MODES = ['off', 'always', 'unless-pre-approved'] as const
export type ApprovalMode = (typeof APPROVAL_MODES)[number]

export interface DeviceApproval {
  readonly mode: ApprovalMode
  /** They go on waiting when the mode changes. */
  readonly waiting: ReadonlySet<NodeId>
  /** Ids of auth keys whose machines somebody approved beforehand. */
  readonly keys: ReadonlySet<string>
}

export const deviceApproval: KeptSetting<DeviceApproval> = {
  name: 'device-approval',
  parse(text) {
    const { mode, waiting, keys } = recordOf(text)
    return {
      mode: APPROVAL_MODES.find((one) => one === mode) ?? 'off',
      waiting: new Set(Array.isArray(waiting) ? waiting.filter((id) => typeof id === 'number') : []),
      keys: new Set(Array.isArray(keys) ? keys.filter((id) => typeof id === 'string') : []),
    }
  },
}

const textOf = ({ mode, waiting, keys }: DeviceApproval): string =>
  JSON.stringify({ mode, waiting: [...waiting], keys: [...keys] })

/** How a new machine got in. */
export interface Entrance {
  /** Undefined for one whose person signed in. */
  readonly authKeyId: string | undefined
  /** Somebody who runs the network let it in by hand. */
  readonly isApproved: boolean
}

export function mustWait({ mode, keys }: DeviceApproval, { authKeyId, isApproved }: Entrance): boolean {
  if (mode === 'off' || isApproved) return false
  return mode === 'always' || authKeyId === undefined || !keys.has(authKeyId)
}

/** In a transaction of one tailnet. Reads the store's own, so that several changes in one transaction add up. */
export async function changeApproval(
  tx: RegistryTransaction,
  change: (now: DeviceApproval) => Partial<DeviceApproval>,
): Promise<void> {
  const now = deviceApproval.parse(await tx.store.tailnetSetting(deviceApproval.name))
  const next = { ...now, ...change(now) }
  // What is gone is forgotten, so that neither list grows for ever.
  const nodes = new Set((await tx.store.nodes()).map(({ id }) => id))
  const keys = new Set((await tx.store.authKeys()).map(({ id }) => id))
  await tx.setKept(
    deviceApproval.name,
    textOf({
      mode: next.mode,
      waiting: new Set([...next.waiting].filter((id) => nodes.has(id))),
      keys: new Set([...next.keys].filter((id) => keys.has(id))),
    }),
  )
}
