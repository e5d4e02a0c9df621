// Which passwords are refused: those that a guesser tries first. Length does most of the work; the rest keeps out what long
// passwords are made of when nobody thinks about them.

/** NIST SP 800-63B-4 §3.1.1.2, for a password that stands alone; the page does not ask which will get a second factor. */
export const MIN_PASSWORD_CHARS = 15
/** Taken whole: nothing is cut off. Longer ones are refused before any work is done on them. */
export const MAX_PASSWORD_BYTES = 1024

const FEWEST_KINDS = 5
/** How much of a password must be left once common words, the person's own name and runs are taken out. */
const FEWEST_OTHERS = 4

/**
 * What the lists of leaked passwords are made of, from which longer ones are put together: "password1234", "iloveyou2024".
 * Lower case, digits that stand for letters read as those letters.
 */
const COMMON_WORDS = (
  'password passwort passwd motdepasse contrasena senha parola haslo wachtwoord salasana pass welcome willkommen ' +
  'bienvenue letmein iloveyou ichliebedich jetaime teamo admin administrator root user guest login signin master ' +
  'changeme default secret test testing internet computer server network peerway wireguard private mysecret hello ' +
  'hallo sunshine princess princesa prinzessin dragon monkey football fussball baseball basketball superman batman ' +
  'starwars pokemon michael jennifer jessica ashley daniel thomas andrew charlie liverpool chelsea arsenal barcelona ' +
  'juventus schalke freedom whatever trustno one shadow summer sommer winter spring autumn january february march ' +
  'april june july august september october november december monday friday sunday flower butterfly chocolate ' +
  'cookie cheese pepper ginger hunter ranger killer ninja matrix samsung google facebook windows linux apple android ' +
  'mustang corvette ferrari mercedes porsche yamaha access qazwsx abc abcd abcdef asdf qwer zxcv'
).split(' ')

/** Neighbours on keyboards, and the alphabet: a run of four or more of one of these, either way, is one thing to guess. */
const RUNS = ['qwertyuiop', 'qwertzuiop', 'azertyuiop', 'asdfghjkl', 'yxcvbnm', 'zxcvbnm', 'abcdefghijklmnopqrstuvwxyz']
const DIGIT_RUNS = [
  '01234567890',
  '1q2w3e4r5t6z7u8i9o0p',
  '1q2w3e4r5t6y7u8i9o0p',
  '1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p',
]
const SHORTEST_RUN = 4

const LETTER_FOR: Readonly<Record<string, string>> = {
  '@': 'a',
  '4': 'a',
  '3': 'e',
  '1': 'i',
  '!': 'i',
  '0': 'o',
  '5': 's',
  $: 's',
  '7': 't',
}

export type PasswordProblem = 'too-short' | 'too-long' | 'too-common'

/** Undefined when the password may be used. `names` are things about the person that others know. */
export function passwordProblem(password: string, names: readonly string[] = []): PasswordProblem | undefined {
  if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES) return 'too-long'
  const characters = Array.from(password)
  if (characters.length < MIN_PASSWORD_CHARS) return 'too-short'
  if (new Set(characters).size < FEWEST_KINDS) return 'too-common'
  if (isRepeated(password)) return 'too-common'
  const known = [...names.flatMap(wordsOf), ...COMMON_WORDS]
  const plain = password.toLowerCase()
  // Digits and signs at the ends are the usual ornament; elsewhere they may stand for letters.
  const core = plain.replaceAll(/^[\p{N}\p{P}\p{S}]+|[\p{N}\p{P}\p{S}]+$/gu, '')
  return [plain, spelt(plain), ...(core === '' ? [] : [spelt(core)])].some(
    (form) => leftOf(form, known) < FEWEST_OTHERS,
  )
    ? 'too-common'
    : undefined
}

const spelt = (text: string): string => Array.from(text, (character) => LETTER_FOR[character] ?? character).join('')

/** How many letters stay when everything known is taken out; digits and signs around a word count little. */
function leftOf(text: string, known: readonly string[]): number {
  let left = text
  for (const run of [...RUNS, ...DIGIT_RUNS]) left = withoutRuns(left, run)
  for (const word of known.toSorted((a, b) => b.length - a.length)) left = left.replaceAll(word, ' ')
  const letters = left.replaceAll(/[\p{P}\p{S}\p{N}\s]/gu, '').length
  const others = new Set(left.replaceAll(/[^\p{P}\p{S}\p{N}]/gu, '')).size
  return letters + Math.floor(others / 2)
}

function withoutRuns(text: string, run: string): string {
  let left = text
  for (const way of [run, Array.from(run).reverse().join('')])
    for (let length = way.length; length >= SHORTEST_RUN; length--)
      for (let at = 0; at + length <= way.length; at++) left = left.replaceAll(way.slice(at, at + length), ' ')
  return left
}

/** "abcabcabcabc": as good as its part. */
function isRepeated(text: string): boolean {
  return /^(.{1,8}?)\1+$/u.test(text)
}

const wordsOf = (name: string): string[] =>
  name
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word.length >= 3)
