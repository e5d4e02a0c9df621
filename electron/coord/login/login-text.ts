// A pending login as text, for servers that share a database. Nothing of it is secret: the keys are public ones, and who
// opens its page still has to sign in.

import { MachinePublic, NodePublic } from '../../crypto/keys.ts'
import { hostFactsOf, int, maybe, type SqlRow, strings, text } from '../store/rows.ts'
import type { LoginVerdict, PendingLogin } from './pending-logins.ts'

export function loginText(login: PendingLogin): string {
  const { machineKey, nodeKey, expiryMs, ...rest } = login
  return JSON.stringify({
    ...rest,
    machineKey: machineKey.text,
    nodeKey: nodeKey.text,
    expiryMs: expiryMs ?? null,
  })
}

/** Undefined for what another version wrote. */
export function loginOf(written: string): PendingLogin | undefined {
  try {
    const row = JSON.parse(written) as SqlRow
    return {
      id: text(row, 'id'),
      machineKey: MachinePublic.parse(text(row, 'machineKey')),
      nodeKey: NodePublic.parse(text(row, 'nodeKey')),
      hostinfo: hostFactsOf(row['hostinfo']),
      ephemeral: row['ephemeral'] === true,
      capVersion: int(row, 'capVersion'),
      expiryMs: maybe(row, 'expiryMs', int),
      requestTags: strings(row['requestTags']),
      source: text(row, 'source'),
      createdAtMs: int(row, 'createdAtMs'),
    }
  } catch {
    return undefined
  }
}

export const verdictText = (verdict: LoginVerdict): string => JSON.stringify(verdict)

/** Of one that nobody understands the machine starts again. */
export function verdictOf(written: string): LoginVerdict {
  const lapsed: LoginVerdict = { kind: 'lapsed' }
  try {
    const row = JSON.parse(written) as SqlRow
    const { kind } = row
    if (kind === 'approved') return { kind, nodeId: int(row, 'nodeId') }
    return kind === 'refused' ? { kind, text: text(row, 'text') } : lapsed
  } catch {
    return lapsed
  }
}
