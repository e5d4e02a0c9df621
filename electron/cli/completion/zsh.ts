// For zsh, whose own functions show what each word is for.

import type { Value, Verbs } from './verbs.ts'

export function zshCompletion({ verbs, next }: Verbs): string {
  const words = [...next].map(
    ([before, here]) =>
      [before, `list=(${here.map(({ word, text }) => quoted(`${word}:${text}`)).join(' ')})`] as const,
  )
  const options = verbs.map(
    ({ name, options }) =>
      [name, `list=(${options.map((one) => quoted(`--${one.name}:${one.text}`)).join(' ')})`] as const,
  )
  const values = verbs.flatMap(({ name, options }) =>
    options.flatMap((one) => (one.value ? [[`${name} --${one.name}`, valueText(one.value)] as const] : [])),
  )
  const following = verbs
    .filter(({ argument }) => argument.kind !== 'none')
    .map(({ name, argument }) => [name, valueText(argument)] as const)
  return `#compdef peerway
# Completion of peerway for zsh. In this shell: source <(peerway completion zsh)
# For good: peerway completion zsh > a folder of $fpath, as _peerway

${table('__peerway_words', words)}
${table('__peerway_options', options)}
${table('__peerway_value', [...values, [' --socket', 'value=@file']])}
${table('__peerway_argument', following)}
__peerway_reply() {
  if [[ $value == @file ]]; then
    _files
  else
    compadd -- \${=value}
  fi
}

_peerway() {
  local verb='' option='' word value
  local -a list
  for word in "\${(@)words[2,CURRENT-1]}"; do
    if [[ -n $option ]]; then
      option=''
    elif [[ $word == -* ]]; then
      value=''
      __peerway_value "$verb $word"
      if [[ -n $value ]]; then option=$word; fi
    else
      list=()
      __peerway_words "$verb"
      if (( \${list[(I)$word:*]} )); then verb="\${verb:+$verb }$word"; fi
    fi
  done
  value=''
  list=()
  if [[ $PREFIX == --*=* ]]; then
    option=\${PREFIX%%=*}
    compset -P '*='
  fi
  if [[ -n $option ]]; then
    __peerway_value "$verb $option"
    __peerway_reply
  elif [[ $PREFIX == -* ]]; then
    __peerway_options "$verb"
    _describe -o option list
  else
    __peerway_argument "$verb"
    __peerway_words "$verb"
    if (( $#list )); then _describe command list; fi
    if [[ -n $value ]]; then __peerway_reply; fi
  fi
}

if [[ \${funcstack[1]} == _peerway ]]; then
  _peerway "$@"
else
  compdef _peerway peerway
fi
`
}

const valueText = (value: Value): string =>
  value.kind === 'file' ? 'value=@file' : value.kind === 'words' ? `value=${quoted(value.of.join(' '))}` : "value=' '"

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

function table(name: string, rows: readonly (readonly [string, string])[]): string {
  const cases = rows.map(([key, does]) => `    '${key}') ${does} ;;`)
  return `${name}() {\n  case "$1" in\n${cases.join('\n')}\n  esac\n}\n`
}
