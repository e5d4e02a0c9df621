// What the relay's self-test found, step by step. Plain JSON.

export type RelayTestStepName =
  | 'relaying'
  | 'policy'
  | 'address'
  | 'reachable-v4'
  | 'reachable-v6'
  | 'handshake'
  | 'traffic'
  | 'capacity'

export interface RelayTestStep {
  readonly name: RelayTestStepName
  /** Limited: works for some clients, and `text` says for which. */
  readonly result: 'ok' | 'limited' | 'failed' | 'untested'
  /** What was found and, when it is not well, what to do. */
  readonly text: string
  /** Of capacity: what was measured. */
  readonly bytesPerSecond?: number
}

export interface RelayTestView {
  readonly steps: readonly RelayTestStep[]
  /** The first step that failed. */
  readonly failing: RelayTestStepName | undefined
}
