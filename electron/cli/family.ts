// A verb with verbs of its own: `peerway relay status`.

import { type Command, commandHelp, DONE, parseCommand, print, UsageError } from './command.ts'
import { didYouMean } from './nearest.ts'

/** `verbs` by their second word. Without one, or when help is asked for, all of them are explained. */
export async function runFamily(
  name: string,
  verbs: Readonly<Record<string, Command>>,
  args: readonly string[],
): Promise<number> {
  const [verb, ...rest] = args
  const command = verb !== undefined && Object.hasOwn(verbs, verb) ? verbs[verb] : undefined
  if (!command) {
    if (verb !== undefined && !['--help', '-h', 'help'].includes(verb)) {
      const known = Object.keys(verbs).map((one) => `${name} ${one}`)
      const meant = didYouMean(verb, Object.keys(verbs), (one) => `"peerway ${name} ${one}"`)
      throw new UsageError(`There is no command "${name} ${verb}". ${meant}It is one of: ${known.join(', ')}.`)
    }
    print(Object.values(verbs).map(commandHelp).join('\n\n'))
    return DONE
  }
  const call = parseCommand(command, rest)
  if (call === 'help') {
    print(commandHelp(command))
    return DONE
  }
  return command.run(call)
}
