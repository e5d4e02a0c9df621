// What is wrong with a policy, and where.

import { CodedError } from '../../base/errors.ts'
import { lineAndColumn, type Offset } from './hujson.ts'

export interface PolicyProblem {
  readonly line: number
  readonly column: number
  /** What is so and what to do. */
  readonly message: string
}

/** More than this helps nobody; the first ones are usually the cause of the rest. */
const MOST_PROBLEMS = 20

/** The policy cannot be used; whoever wrote it mends it. */
export class PolicyError extends CodedError<'coord/policy-invalid'> {
  readonly problems: readonly PolicyProblem[]

  constructor(problems: readonly PolicyProblem[]) {
    const [first] = problems
    const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : ''
    super('coord/policy-invalid', `The policy cannot be used: ${first ? problemText(first) : 'unknown'}${more}`)
    this.problems = problems
  }
}

export const problemText = ({ line, column, message }: PolicyProblem): string =>
  `line ${line}, column ${column}: ${message}`

/** Collects what is wrong while a text is read, so that a person sees all of it at once. */
export class Problems {
  readonly #text: string
  readonly #all: PolicyProblem[] = []

  constructor(text: string) {
    this.#text = text
  }

  add(at: Offset, message: string): void {
    if (this.#all.length < MOST_PROBLEMS) this.#all.push({ ...lineAndColumn(this.#text, at), message })
  }

  get list(): readonly PolicyProblem[] {
    return this.#all.toSorted((a, b) => a.line - b.line || a.column - b.column)
  }

  throwIfAny(): void {
    if (this.#all.length > 0) throw new PolicyError(this.list)
  }
}
