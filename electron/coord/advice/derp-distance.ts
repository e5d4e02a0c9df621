// How far two machines are from each other, guessed from how far each is from the DERP regions: all that other clients tell.

/** What a node told of its network: milliseconds to regions, and which is its home. */
export interface DerpDistances {
  readonly home: number
  readonly ms: ReadonlyMap<number, number>
}

const MOST_REGIONS = 64
/** With as many places seen alike from both, two machines are seldom far from each other. */
const MANY_REGIONS = 3

/** "<region>-v4" and "<region>-v6" to seconds, as the wire has it; the faster family counts. */
export function derpDistances(home: number, seconds: ReadonlyMap<string, number>): DerpDistances | undefined {
  const ms = new Map<number, number>()
  for (const [name, value] of seconds) {
    const region = Number(/^(\d{1,9})-v[46]$/.exec(name)?.[1] ?? Number.NaN)
    if (!Number.isInteger(region) || !(value >= 0 && value < 10)) continue
    ms.set(region, Math.min(ms.get(region) ?? Number.POSITIVE_INFINITY, value * 1000))
    if (ms.size === MOST_REGIONS) break
  }
  return ms.size > 0 ? { home, ms } : undefined
}

/**
 * A direct round trip lies between the largest difference to a common region and the smallest sum (the triangle
 * inequality). With few regions in common the middle is taken; with many, a point nearer to the lower bound.
 */
export function guessDirect(a: DerpDistances, b: DerpDistances): number | undefined {
  let least = 0
  let most = Number.POSITIVE_INFINITY
  let common = 0
  for (const [region, toA] of a.ms) {
    const toB = b.ms.get(region)
    if (toB === undefined) continue
    common++
    least = Math.max(least, Math.abs(toA - toB))
    most = Math.min(most, toA + toB)
  }
  if (common === 0) return undefined
  // Not measured at the same moment, the bounds may cross.
  return least + Math.max(0, most - least) / (common >= MANY_REGIONS ? 4 : 2)
}

/** Each way goes through the home of the one who hears. */
export function guessOverDerp(a: DerpDistances, b: DerpDistances): number | undefined {
  const ways = [a.home, b.home].map((region) => {
    const [toA, toB] = [a.ms.get(region), b.ms.get(region)]
    return toA === undefined || toB === undefined ? undefined : (toA + toB) / 2
  })
  const [one, other] = ways
  return one === undefined || other === undefined ? undefined : one + other
}
