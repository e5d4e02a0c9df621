// What the data plane and people are told of a step: it follows from comparing the path before and after, so that what is
// told and what is can never disagree.

import { sameLeg } from './leg.ts'
import { allowsDerp } from './path-policy.ts'
import type { PathReason } from './path-view.ts'
import type { PeerEffect } from './peer-input.ts'
import { derpRegion, pathSpec, type PeerPath, shownLeg } from './peer-state.ts'

const hasMoved = (before: PeerPath, after: PeerPath): boolean => !sameLeg(shownLeg(before), shownLeg(after))

/** With the reason of its change, if the path as shown is another one. */
export function withReason(before: PeerPath, after: PeerPath, cause: PathReason | undefined): PeerPath {
  const cutOff = shownLeg(after) === undefined && derpRegion(after) !== undefined && !allowsDerp(after.policy)
  const reason = cutOff ? 'policy' : hasMoved(before, after) ? (cause ?? after.reason) : after.reason
  return reason === after.reason ? after : { ...after, reason }
}

export function pathEffects(before: PeerPath, after: PeerPath): readonly PeerEffect[] {
  const was = pathSpec(before)
  const is = pathSpec(after)
  const effects: PeerEffect[] = []
  const lessTrusted = is.trustedUntilMs < was.trustedUntilMs
  if (lessTrusted || !sameLeg(was.leg, is.leg) || !sameLeg(was.fallback, is.fallback))
    effects.push({ type: 'path', spec: is })
  else if (was.trustedUntilMs !== is.trustedUntilMs) effects.push({ type: 'trust', untilMs: is.trustedUntilMs })
  if (hasMoved(before, after)) effects.push({ type: 'changed' })
  return effects
}
