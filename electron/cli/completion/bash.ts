// For bash, from 3.2 on, which macOS has.

import type { Value, Verbs } from './verbs.ts'

export function bashCompletion({ verbs, next }: Verbs): string {
  const words = [...next].map(([before, here]) => [before, here.map(({ word }) => word).join(' ')] as const)
  const options = verbs.map(({ name, options }) => [name, options.map((one) => `--${one.name}`).join(' ')] as const)
  const values = verbs.flatMap(({ name, options }) =>
    options.flatMap((one) => (one.value ? [[`${name} --${one.name}`, valueText(one.value)] as const] : [])),
  )
  const following = verbs
    .filter(({ argument }) => argument.kind !== 'none')
    .map(({ name, argument }) => [name, valueText(argument)] as const)
  return `# Completion of peerway for bash. In this shell: source <(peerway completion bash)
# For good: peerway completion bash > ~/.local/share/bash-completion/completions/peerway

${table('__peerway_words', words)}
${table('__peerway_options', options)}
# What follows an option; none for what follows nothing.
${table('__peerway_value', [...new Map([...values, [' --socket', '@file']])])}
${table('__peerway_argument', following)}
__peerway_reply() {
  if [[ $1 == *@file* ]]; then
    compopt -o default 2>/dev/null
  else
    COMPREPLY=($(compgen -W "$1" -- "$2"))
  fi
}

_peerway() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" verb='' option='' word i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    # An equals sign is a word of its own here.
    if [[ $word == '=' ]]; then
      continue
    elif [[ -n $option ]]; then
      option=''
    elif [[ $word == -* ]]; then
      if [[ -n $(__peerway_value "$verb $word") && $word != *=* ]]; then option="$word"; fi
    elif [[ " $(__peerway_words "$verb") " == *" $word "* ]]; then
      verb="\${verb:+$verb }$word"
    fi
  done
  if [[ $cur == '=' ]]; then cur=''; fi
  if [[ -n $option ]]; then
    __peerway_reply "$(__peerway_value "$verb $option")" "$cur"
  elif [[ $cur == -* ]]; then
    __peerway_reply "$(__peerway_options "$verb")" "$cur"
  else
    __peerway_reply "$(__peerway_words "$verb") $(__peerway_argument "$verb")" "$cur"
  fi
}

complete -F _peerway peerway
`
}

/** Of what no words are known, something must be said all the same. */
const valueText = (value: Value): string =>
  value.kind === 'file' ? '@file' : value.kind === 'words' ? value.of.join(' ') : ' '

function table(name: string, rows: readonly (readonly [string, string])[]): string {
  const cases = rows.map(([key, value]) => `    '${key}') printf '%s' '${value}' ;;`)
  return `${name}() {\n  case "$1" in\n${cases.join('\n')}\n  esac\n}\n`
}
