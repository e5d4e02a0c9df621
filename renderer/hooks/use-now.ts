import { useEffect, useState } from 'react'

/** The time, again every `everyMs`: for "2 h ago" and the like. */
export function useNow(everyMs = 30_000): number {
  const [nowMs, setNowMs] = useState(() => Date.now())
  useEffect(() => {
    const timer = setInterval(() => setNowMs(Date.now()), everyMs)
    return () => clearInterval(timer)
  }, [everyMs])
  return nowMs
}

/** True once `condition` has held for `ms`; false at once when it no longer does. */
export function useHeld(condition: boolean, ms: number): boolean {
  const [isHeld, setHeld] = useState(false)
  useEffect(() => {
    if (!condition) return undefined
    const timer = setTimeout(() => setHeld(true), ms)
    return () => {
      clearTimeout(timer)
      setHeld(false)
    }
  }, [condition, ms])
  return condition && isHeld
}
