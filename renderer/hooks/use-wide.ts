import { useSyncExternalStore } from 'react'

const wide = (): MediaQueryList => window.matchMedia('(min-width: 760px)')

/** True where list and page stand side by side. */
export function useWide(): boolean {
  return useSyncExternalStore(
    (changed) => {
      const query = wide()
      query.addEventListener('change', changed)
      return () => query.removeEventListener('change', changed)
    },
    () => wide().matches,
  )
}
