// The one door of a window into the app.

import { ipcMain, type IpcMainInvokeEvent } from 'electron'
import type { Logger } from '../base/log.ts'
import { channels } from '../contract/bridge.ts'
import { answer, type Reply, type WindowHandlers, windowCalls } from '../contract/calls.ts'
import { isOwnPage } from './app-files.ts'

/** Answers calls of our own page's top frame; all others are refused, whatever they ask. */
export function answerWindows(handlers: WindowHandlers, log: Logger): void {
  ipcMain.handle(channels.call, async (event, name: unknown, raw: unknown): Promise<Reply<unknown>> => {
    if (!isFromOwnPage(event)) {
      log.warn('refused a call from a foreign frame', { url: event.senderFrame?.url })
      return { ok: false, code: 'shell/foreign-frame', message: 'This page may not ask the app anything.' }
    }
    const reply = await answer(windowCalls, handlers, String(name), raw)
    if (!reply.ok) log.info('a call failed', { name, code: reply.code })
    return reply
  })
}

function isFromOwnPage({ senderFrame, sender }: IpcMainInvokeEvent): boolean {
  return senderFrame !== null && senderFrame === sender.mainFrame && isOwnPage(senderFrame.url)
}
