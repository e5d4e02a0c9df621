// What a person calls their browser, out of its User-Agent: "Firefox on Linux". Only to tell sessions apart; nothing is
// decided by it.

const BROWSERS: readonly [RegExp, string][] = [
  [/Edg\//, 'Edge'],
  [/OPR\//, 'Opera'],
  [/Firefox\/|FxiOS\//, 'Firefox'],
  [/Peerway\/|Electron\//, 'Peerway'],
  [/Chrome\/|CriOS\//, 'Chrome'],
  [/Safari\//, 'Safari'],
]

const SYSTEMS: readonly [RegExp, string][] = [
  [/iPhone/, 'iPhone'],
  [/iPad/, 'iPad'],
  [/Android/, 'Android'],
  [/Windows/, 'Windows'],
  [/Mac OS X/, 'macOS'],
  [/CrOS/, 'ChromeOS'],
  [/Linux/, 'Linux'],
]

/** Empty when nothing is recognised. */
export function browserName(userAgent: string | undefined): string {
  // Nobody's header is longer; patterns are not run over more.
  const text = (userAgent ?? '').slice(0, 512)
  const browser = nameIn(BROWSERS, text)
  const system = systemName(text)
  return browser !== undefined && system !== undefined ? `${browser} on ${system}` : (browser ?? system ?? '')
}

/** "Linux", "iPhone"; undefined when it is not recognised. */
export const systemName = (userAgent: string): string | undefined => nameIn(SYSTEMS, userAgent)

const nameIn = (names: readonly [RegExp, string][], text: string): string | undefined =>
  names.find(([pattern]) => pattern.test(text))?.[1]
