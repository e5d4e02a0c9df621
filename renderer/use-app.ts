import { createContext, use } from 'react'
import { useStore } from 'zustand'
import type { Actions } from './actions.ts'
import type { LatencyLog } from './model/latency.ts'
import type { Ui, UiStore } from './store.ts'

export interface AppParts {
  readonly ui: UiStore
  readonly actions: Actions
  readonly latencies: LatencyLog
}

export const AppContext = createContext<AppParts | undefined>(undefined)

function useParts(): AppParts {
  const parts = use(AppContext)
  if (!parts) throw new Error('This part of the window stands outside the app.')
  return parts
}

/** Re-renders when what `select` picks has another identity. */
export function useUi<T>(select: (ui: Ui) => T): T {
  return useStore(useParts().ui, select)
}

export const useActions = (): Actions => useParts().actions
export const useUiStore = (): UiStore => useParts().ui
export const useLatencies = (): LatencyLog => useParts().latencies
