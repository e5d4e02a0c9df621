import { contextBridge, ipcRenderer } from 'electron'
import { channels, type PeerwayBridge } from '../contract/bridge.ts'

// What main sends on a channel is what the channel's line in the contract says.
function listen(channel: string, listener: (value: never) => void): () => void {
  const hear = (_event: unknown, value: unknown): void => listener(value as never)
  ipcRenderer.on(channel, hear)
  return () => void ipcRenderer.off(channel, hear)
}

const bridge: PeerwayBridge = {
  call: (name, ...arg) => ipcRenderer.invoke(channels.call, name, arg[0]),
  onSnapshot: (listener) => listen(channels.snapshot, listener),
  onEvent: (listener) => listen(channels.event, listener),
  onOwnNetwork: (listener) => listen(channels.own, listener),
  onOpen: (listener) => listen(channels.open, listener),
}

contextBridge.exposeInMainWorld('peerway', bridge)
