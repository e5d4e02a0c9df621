// For fish: a line for each word and each option, with the verb after which it stands.

import type { Value, Verbs } from './verbs.ts'

export function fishCompletion({ verbs, next }: Verbs): string {
  const valued = new Set(verbs.flatMap(({ options }) => options.flatMap((one) => (one.value ? [`--${one.name}`] : []))))
  const known = [...next].flatMap(([before, here]) => here.map(({ word }) => `${before} ${word}`.trim()))
  const lines = [
    ...[...next].flatMap(([before, here]) =>
      here.map(({ word, text }) => `complete -c peerway -n ${at(before)} -a ${word} -d ${quoted(text)}`),
    ),
    ...verbs.flatMap(({ name, options }) =>
      options.map(
        (one) => `complete -c peerway -n ${at(name)} -l ${one.name}${valueText(one.value)} -d ${quoted(one.text)}`,
      ),
    ),
    ...verbs
      .filter(({ argument }) => argument.kind !== 'none')
      .map(({ name, argument }) =>
        argument.kind === 'words'
          ? `complete -c peerway -n ${at(name)} -a ${quoted(argument.of.join(' '))}`
          : `complete -c peerway -n ${at(name)} -F`,
      ),
  ]
  return `# Completion of peerway for fish. In this shell: peerway completion fish | source
# For good: peerway completion fish > ~/.config/fish/completions/peerway.fish

set -g __peerway_verbs ${known.map(quoted).join(' ')}
set -g __peerway_valued ${[...valued].join(' ')}

function __peerway_at
    set -l verb ''
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
        else if contains -- $word $__peerway_valued
            set skip 1
        else if not string match -q -- '-*' $word
            set -l longer (string trim -- "$verb $word")
            if contains -- $longer $__peerway_verbs
                set verb $longer
            end
        end
    end
    test "$verb" = "$argv[1]"
end

complete -c peerway -f
${lines.join('\n')}
`
}

const at = (verb: string): string => quoted(`__peerway_at "${verb}"`)

function valueText(value: Value | undefined): string {
  if (value === undefined) return ''
  if (value.kind === 'file') return ' -r -F'
  return value.kind === 'words' ? ` -x -a ${quoted(value.of.join(' '))}` : ' -x'
}

const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
