// `peerway completion bash|zsh|fish`: prints what makes a shell complete our commands.

import { type Command, DONE, print, UsageError } from '../command.ts'
import { bashCompletion } from './bash.ts'
import { fishCompletion } from './fish.ts'
import { type Verbs, verbsOf } from './verbs.ts'
import { zshCompletion } from './zsh.ts'

const SHELLS: Readonly<Record<string, (verbs: Verbs) => string>> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
}

export interface AllCommands {
  readonly commands: readonly Command[]
  /** Words that only begin commands, and what those are for. */
  readonly families: ReadonlyMap<string, string>
}

export const completion = (all: () => Promise<AllCommands>): Command => ({
  name: 'completion',
  summary: 'Prints what makes a shell complete the words of peerway.',
  usage: ['completion bash|zsh|fish'],
  help: {},
  example: 'source <(peerway completion bash)',
  options: {},
  positionals: [1, 1],
  async run(call) {
    const [shell = ''] = call.positionals
    const script = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined
    if (!script) throw new UsageError(`For which shell? One of ${Object.keys(SHELLS).join(', ')}.`)
    const { commands, families } = await all()
    print(script(verbsOf(commands, families)).trimEnd())
    return DONE
  },
})
