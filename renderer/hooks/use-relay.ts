import { useCallback, useEffect, useState } from 'react'
import type { Reply } from '../../electron/contract/calls.ts'
import type { RelayStatusView } from '../../electron/contract/relay-view.ts'
import { useActions } from '../use-app.ts'

/** Rates are taken over some seconds; asking more often shows nothing new. */
const ASK_MS = 2_000

export interface RelayAnswer {
  readonly reply: Reply<RelayStatusView> | undefined
  readonly ask: () => Promise<void>
}

/** Asks how the relay does, again and again while its page is open and the window is seen. */
export function useRelay(): RelayAnswer {
  const { relayStatus } = useActions()
  const [reply, setReply] = useState<Reply<RelayStatusView>>()
  const ask = useCallback(async () => setReply(await relayStatus()), [relayStatus])
  useEffect(() => {
    let isOpen = true
    let timer: ReturnType<typeof setTimeout> | undefined
    const round = async (): Promise<void> => {
      if (!document.hidden) {
        const next = await relayStatus()
        if (isOpen) setReply(next)
      }
      if (isOpen) timer = setTimeout(() => void round(), ASK_MS)
    }
    void round()
    return () => {
      isOpen = false
      clearTimeout(timer)
    }
  }, [relayStatus])
  return { reply, ask }
}
