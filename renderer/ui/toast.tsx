import { Check } from 'lucide-react'
import { useEffect } from 'react'
import { useActions, useUi } from '../use-app.ts'
import { Icon } from './icon.tsx'

const TOAST_MS = 3_000

export function ToastPlace() {
  const toast = useUi((ui) => ui.toast)
  const { endToast } = useActions()
  useEffect(() => {
    if (!toast) return undefined
    const timer = setTimeout(() => endToast(toast.number), TOAST_MS)
    return () => clearTimeout(timer)
  }, [toast, endToast])
  return (
    <div className="toast-place" aria-hidden>
      {toast && (
        <div key={toast.number} className="toast">
          <Icon of={Check} />
          <span className="ell">{toast.text}</span>
        </div>
      )}
    </div>
  )
}
