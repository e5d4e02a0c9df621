// A reporter for node's test runner that writes nothing but its closing counts, as JSON; build/test.mjs adds them up.

/** @typedef {{ passed: number, failed: number, skipped: number }} Counts */

/** @type {Record<string, keyof Counts>} node's words for them; a cancelled test did not pass, a todo did not count */
const WORDS = { pass: 'passed', fail: 'failed', cancelled: 'failed', skipped: 'skipped', todo: 'skipped' }

/**
 * @param {AsyncIterable<{ type: string, data: { nesting?: number, message?: string } }>} events
 * @returns {AsyncGenerator<string>}
 */
export default async function* counts(events) {
  /** @type {Record<string, number>} */
  const last = {}
  for await (const { type, data } of events) {
    const [, word, number] = type === 'test:diagnostic' ? (/^(\w+) (\d+)$/.exec(data.message ?? '') ?? []) : []
    // A test may print a diagnostic that looks the same, but the runner's own come last.
    if (word && word in WORDS && data.nesting === 0) last[word] = Number(number)
  }
  const sum = { passed: 0, failed: 0, skipped: 0 }
  for (const [word, number] of Object.entries(last)) {
    const key = WORDS[word]
    if (key) sum[key] += number
  }
  yield JSON.stringify(sum)
}
