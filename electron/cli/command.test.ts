import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { isCoded } from '../base/errors.ts'
import { VERSION } from '../base/version.ts'
import { type Command, durationOption, parseCommand, portOption, stringOption } from './command.ts'

const command: Command = {
  name: 'try',
  summary: '',
  usage: [],
  help: {},
  example: '',
  options: {
    socket: { type: 'string' },
    json: { type: 'boolean' },
    peers: { type: 'boolean' },
    'no-peers': { type: 'boolean' },
    timeout: { type: 'string' },
  },
  positionals: [0, 1],
  run: () => Promise.resolve(0),
}

const parsed = (...args: string[]) => {
  const call = parseCommand(command, args)
  assert.ok(call !== 'help')
  return call
}

test('flags are read with one dash or two, with = or a blank, as people of this field type them', () => {
  for (const args of [['--socket', 'x'], ['--socket=x'], ['-socket', 'x'], ['-socket=x']])
    assert.equal(stringOption(parsed(...args), 'socket'), 'x')
  assert.equal(parsed('--json=true').values['json'], true)
  assert.equal(parsed('--peers=false').values['no-peers'], true)
})

test('help is asked for anywhere', () => {
  assert.equal(parseCommand(command, ['x', '--help']), 'help')
  assert.equal(parseCommand(command, ['-h']), 'help')
})

test('what is not known is wrong usage, with the word in the message', () => {
  for (const args of [['--nosuch'], ['a', 'b'], ['--socket']])
    assert.throws(
      () => parseCommand(command, args),
      (error) => isCoded(error, 'cli/usage'),
    )
  assert.throws(() => durationOption(parsed('--timeout', '5 minutes'), 'timeout', 0), /5s or 2m/)
  assert.throws(() => portOption(parsed('--timeout', '70000'), 'timeout', 0), /0 to 65535/)
  assert.equal(durationOption(parsed('--timeout', '1m30s'), 'timeout', 0), 90_000)
})

test('the version is that of package.json', () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  assert.equal(VERSION, version)
})

test('wrong usage says what is wrong in plain words, and what to do next', () => {
  const command: Command = {
    name: 'coord tidy',
    summary: '',
    usage: ['coord tidy NAME [--depth N] [--json]'],
    help: {},
    example: '',
    options: { depth: { type: 'string' }, json: { type: 'boolean' } },
    positionals: [1, 1],
    run: async () => 0,
  }
  for (const [args, says] of [
    [
      ['x', '--dept', '3'],
      '"coord tidy" has no option --dept. Did you mean --depth? "peerway coord tidy --help" lists them.',
    ],
    [['x', '--frobnicate'], '"coord tidy" has no option --frobnicate. "peerway coord tidy --help" lists them.'],
    [['x', '--depth'], '--depth needs a value. "peerway coord tidy --help" explains it.'],
    [[], '"coord tidy" needs an argument. Usage: peerway coord tidy NAME [--depth N] [--json]'],
    [['x', 'y'], '"y" is one argument too many. Usage: peerway coord tidy NAME [--depth N] [--json]'],
  ] as const)
    assert.throws(() => parseCommand(command, args), { code: 'cli/usage', message: says })
})
