import type { PeerwayBridge } from '../electron/contract/bridge.ts'
import { mount } from './mount.tsx'

declare global {
  interface Window {
    /** Put there by the preload. */
    readonly peerway: PeerwayBridge
  }
}

const place = document.getElementById('root')
if (place) mount(window.peerway, place)
