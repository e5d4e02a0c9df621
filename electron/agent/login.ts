// Getting a node key accepted by the coordination server: with a key, by a person in the browser, or because it already is.
// control.md §4.3, §4.4.

import { ed25519 } from '@noble/curves/ed25519.js'
import { toHex } from '../base/bytes.ts'
import { Backoff } from '../base/backoff.ts'
import type { Clock } from '../base/clock.ts'
import { CodedError, isCoded } from '../base/errors.ts'
import type { Problem } from '../contract/snapshot.ts'
import { clockWait } from '../control/clock-wait.ts'
import type { ControlClient } from '../control/control-client.ts'
import type { RegisterOutcome } from '../control/registration.ts'
import { NodePrivate, type NodePublic } from '../crypto/keys.ts'
import type { HostinfoInput } from '../wire/tailcfg/hostinfo.ts'

/** Between attempts while the server is away. */
const LONGEST_PAUSE_MS = 30_000

export interface LoginInput {
  /** The key of an earlier login, tried first. */
  readonly nodeKey: NodePrivate | undefined
  readonly oldNodeKey: NodePublic | undefined
  readonly lockSeed: Uint8Array
  readonly authKey: string | undefined
  readonly hostinfo: HostinfoInput
  /** Log in with a new key although the old one may still do. */
  readonly forceReauth: boolean
  /** Told each node key before it is registered: what needs the key is opened then, so that its failure comes before a login. */
  readonly onNodeKey: (nodeKey: NodePrivate) => Promise<void>
  /** The server cannot be reached just now; it is tried again. */
  readonly onTrouble: (problem: Problem) => void
  readonly clock: Clock
}

export interface LoggedIn {
  readonly nodeKey: NodePrivate
  readonly oldNodeKey: NodePublic | undefined
  readonly loginName: string | undefined
}

/**
 * Registers until the server accepts, which takes as long as a person needs. `onLoginUrl` is told where to log in, and
 * undefined once that is done. Rejects with 'agent/key-refused', 'control/…', or the signal's reason.
 */
export async function logIn(
  control: ControlClient,
  input: LoginInput,
  onLoginUrl: (url: string | undefined) => void,
  signal: AbortSignal,
): Promise<LoggedIn> {
  let fresh = input.nodeKey === undefined || input.forceReauth
  let nodeKey = input.nodeKey !== undefined && !input.forceReauth ? input.nodeKey : NodePrivate.generate()
  let oldNodeKey = fresh && input.nodeKey ? input.nodeKey.public : input.oldNodeKey
  let followup: string | undefined
  const backoff = new Backoff(LONGEST_PAUSE_MS)
  await input.onNodeKey(nodeKey)
  for (;;) {
    signal.throwIfAborted()
    let outcome: RegisterOutcome
    try {
      outcome = await control.register(
        {
          nodeKey: nodeKey.public,
          oldNodeKey,
          nlKey: lockPublicText(input.lockSeed),
          authKey: input.authKey,
          followup,
          hostinfo: input.hostinfo,
        },
        signal,
      )
      backoff.reset()
    } catch (error) {
      // A first join fails at once, so that a wrong address is seen; a login that was there before waits for its server.
      const mayWait = input.nodeKey !== undefined || followup !== undefined
      if (signal.aborted || !mayWait || !isCoded(error) || !isTransient(error)) throw error
      input.onTrouble({ code: error.code, message: error.message })
      await clockWait(input.clock, backoff.next(), signal)
      continue
    }
    switch (outcome.kind) {
      case 'registered':
        onLoginUrl(undefined)
        return { nodeKey, oldNodeKey, loginName: outcome.login?.loginName }
      case 'login':
        if (followup !== outcome.url) onLoginUrl(outcome.url)
        followup = outcome.url
        break
      case 'key-expired':
        if (fresh)
          throw new CodedError(
            'agent/key-refused',
            'The server says that a brand-new key has run out. Check the clock of this computer and of the server.',
          )
        fresh = true
        oldNodeKey = nodeKey.public
        nodeKey = NodePrivate.generate()
        followup = undefined
        await input.onNodeKey(nodeKey)
        break
      case 'refused':
        throw new CodedError(
          'agent/key-refused',
          input.authKey === undefined
            ? `The server refused this machine: ${outcome.message}. Ask whoever runs the network, then sign in again.`
            : `The server did not take the key: ${outcome.message}. Ask the network's owner for a new one, or join by logging in.`,
        )
    }
  }
}

/** Failures of the way to the server, and answers that may be others tomorrow. */
const isTransient = (error: CodedError): boolean =>
  error.code.startsWith('control/') && error.code !== 'control/bad-url' && error.code !== 'control/closed'

export function lockPublicText(seed: Uint8Array): string {
  return `nlpub:${toHex(ed25519.getPublicKey(seed))}`
}
