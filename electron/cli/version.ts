import { type Command, DONE, print } from './command.ts'
import { VERSION } from '../base/version.ts'

export const version: Command = {
  name: 'version',
  summary: 'The version of this program.',
  usage: ['version [--json]'],
  help: { json: '--json             one JSON document' },
  example: 'peerway version --json',
  options: { json: { type: 'boolean' } },
  positionals: [0, 0],
  run(call) {
    print(call.values['json'] === true ? JSON.stringify({ version: VERSION, node: process.versions.node }) : VERSION)
    return Promise.resolve(DONE)
  },
}
