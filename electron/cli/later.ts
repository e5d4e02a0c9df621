import { CodedError } from '../base/errors.ts'
import type { CommandCall, OptionSpecs } from './command.ts'

/** Options that are known but have nothing behind them yet: naming one is told apart from a slip of the pen. */
export interface LaterOptions {
  readonly options: OptionSpecs
  /** Throws 'cli/not-yet' when one of them is asked for; `--name=false` is granted, since it is off. */
  refuse(call: CommandCall): void
}

export function later(names: Readonly<Record<string, 'boolean' | 'string'>>): LaterOptions {
  const options: Record<string, { type: 'boolean' | 'string' }> = {}
  for (const [name, type] of Object.entries(names)) {
    options[name] = { type }
    if (type === 'boolean') options[`no-${name}`] = { type }
  }
  return {
    options,
    refuse({ values }) {
      const asked = Object.keys(names).find(
        (name) => values[name] !== undefined && values[name] !== '' && values[name] !== false,
      )
      if (asked !== undefined)
        throw new CodedError(
          'cli/not-yet',
          `--${asked} is not there yet. Leave it out; "peerway help" lists what works.`,
        )
    },
  }
}
