import { useEffect, useState } from 'react'
import type { PathChangeView } from '../../electron/contract/path-history-view.ts'
import type { NodeId } from '../../electron/contract/snapshot.ts'
import { useActions } from '../use-app.ts'

interface Known {
  /** The moment of the newest change when it was asked for. */
  readonly sinceAt: number
  readonly changes: readonly PathChangeView[]
}

/** The changes of a machine's path, asked for anew whenever its path is of another moment; what was known stays meanwhile. */
export function usePathHistory(id: NodeId, sinceAt: number): readonly PathChangeView[] {
  const { pathHistory } = useActions()
  const [known, setKnown] = useState<Known>({ sinceAt: 0, changes: [] })
  useEffect(() => {
    let isOpen = true
    void pathHistory(id).then((reply) => {
      if (isOpen && reply.ok) setKnown({ sinceAt, changes: reply.value.changes })
    })
    return () => {
      isOpen = false
    }
  }, [pathHistory, id, sinceAt])
  return known.changes
}
