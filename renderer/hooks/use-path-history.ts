import { useCallback, useEffect, useState } from 'react'
import type { PathHistoryView } from '../../electron/contract/path-history-view.ts'
import type { NodeId } from '../../electron/contract/snapshot.ts'
import { useActions } from '../use-app.ts'

interface Known {
  /** The moment of the newest change when it was asked for. */
  readonly sinceAt: number
  readonly view: PathHistoryView
}

export interface PathHistoryAnswer {
  readonly view: PathHistoryView
  readonly ask: () => Promise<void>
}

/** What happened to a machine's path, asked for anew whenever the path is of another moment; what was known stays meanwhile. */
export function usePathHistory(id: NodeId, sinceAt: number): PathHistoryAnswer {
  const { pathHistory } = useActions()
  const [known, setKnown] = useState<Known>({ sinceAt: 0, view: { changes: [] } })
  const ask = useCallback(async () => {
    const reply = await pathHistory(id)
    if (reply.ok) setKnown({ sinceAt, view: reply.value })
  }, [pathHistory, id, sinceAt])
  useEffect(() => {
    let isOpen = true
    void pathHistory(id).then((reply) => {
      if (isOpen && reply.ok) setKnown({ sinceAt, view: reply.value })
    })
    return () => {
      isOpen = false
    }
  }, [pathHistory, id, sinceAt])
  return { view: known.view, ask }
}
