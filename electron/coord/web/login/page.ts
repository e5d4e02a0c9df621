// What a page is, and what every page is given.

import type { AccountPage, PageState } from '../../identity/login-api.ts'
import type { Api } from './api.ts'

export interface Page {
  readonly title: string
  readonly element: HTMLElement
  /** What the keyboard is at first; the heading when left out. */
  readonly focus?: HTMLElement
}

/** What every page is given: the server, what it said, and the way to the next page. */
export interface Setting {
  readonly api: Api
  readonly state: PageState
  /** Undefined where no machine waits. */
  readonly login: string | undefined
  readonly enrol: string
  /** That stood in the page's address; empty otherwise. */
  readonly setupCode: string
  /** By performance.now(): when the state came. */
  readonly loadedAtMs: number
  go(next: Page): void
  /** The account as it is now, without showing it; undefined when nobody is signed in. */
  renewed(): Promise<AccountPage | undefined>
  /** Asks the server where things stand, and shows that. */
  reload(): Promise<void>
}
