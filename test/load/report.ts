// What the crowd tells its starter, and how that is printed.

export interface CrowdPlan {
  /** Machines are spread over them. When the last one of several falls, its machines go to the others. */
  readonly urls: readonly string[]
  /** One for each segment; the machines of a segment see each other only. */
  readonly authKeys: readonly string[]
  /** A multiple of the segments. */
  readonly nodes: number
  /** Addresses of this host that the machines come from. */
  readonly sources: readonly string[]
  readonly returnWithinMs: number
}

export interface PhaseReport {
  readonly phase: string
  readonly values: Readonly<Record<string, number>>
  /** The first failure, in words. */
  readonly note?: string | undefined
}

export function quantiles(values: readonly number[]): Readonly<Record<'p50' | 'p95' | 'p99' | 'max', number>> {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number): number => sorted[Math.min(Math.ceil(sorted.length * share) - 1, sorted.length - 1)] ?? NaN
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: sorted.at(-1) ?? NaN }
}

/** A table in Markdown: the first column to the left, the others to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  const rule = head.map((_, i) => (i === 0 ? '---' : '---:'))
  return [head, rule, ...rows].map(line).join('\n')
}
