// What somebody probably meant to type.

/** The known word that is spelt most alike, or that alone begins so; undefined where it would be a guess. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  const all = [...known]
  const most = Math.max(1, Math.floor(word.length / 3))
  let best: { readonly name: string; readonly edits: number } | undefined
  for (const name of all) {
    const edits = editsBetween(word, name)
    if (edits <= most && (!best || edits < best.edits)) best = { name, edits }
  }
  if (best) return best.name
  const longer = all.filter((name) => name.startsWith(word))
  return word.length > 1 && longer.length === 1 ? longer[0] : undefined
}

/** A sentence, or nothing. */
export const didYouMean = (word: string, known: Iterable<string>, shown = (name: string) => `"${name}"`): string => {
  const name = nearest(word, known)
  return name === undefined ? '' : `Did you mean ${shown(name)}? `
}

/** Letters put in, left out, replaced, or swapped with the next (optimal string alignment). */
function editsBetween(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 8) return Infinity
  let [beforeLast, last] = [[] as number[], Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      row[j] = Math.min(
        (last[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (last[j - 1] ?? 0) + (same ? 0 : 1),
        isSwap ? (beforeLast[j - 2] ?? 0) + 1 : Infinity,
      )
    }
    ;[beforeLast, last] = [last, row]
  }
  return last[b.length] ?? Infinity
}
