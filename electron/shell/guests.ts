// Tells that somebody wants to bring a machine into the network of this computer. Not every desktop shows buttons in a
// notification, and an answer wants a look at who asks: a click opens the window at it.

import { Notification } from 'electron'
import type { OpenedPage } from '../contract/bridge.ts'
import type { OwnNetworkView } from '../contract/calls.ts'
import { guestWords, newGuests } from './guest-words.ts'

export class Guests {
  readonly #open: (page: OpenedPage) => void
  #told: ReadonlySet<string> = new Set()
  /** Held, or a click on one that was collected would be lost. */
  readonly #shown = new Map<string, Notification>()

  constructor(open: (page: OpenedPage) => void) {
    this.#open = open
  }

  update(own: OwnNetworkView): void {
    const { news, told } = newGuests(own, this.#told)
    this.#told = told
    for (const [id, notification] of this.#shown)
      if (!told.has(id)) {
        notification.close()
        this.#shown.delete(id)
      }
    if (!Notification.isSupported()) return
    for (const guest of news) {
      const notification = new Notification(guestWords(guest, own.name))
      notification.on('click', () => this.#open({ name: 'waiting', id: guest.id }))
      this.#shown.set(guest.id, notification)
      notification.show()
    }
  }
}
