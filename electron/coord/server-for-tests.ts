// A coordination server as a process of its own, for tests that kill it: node --import tsx FILE FOLDER DATABASE

import { startCoord } from './coord-server.ts'
import { operatorLogin } from './login/operator-login.ts'

const [stateDir = '', database = ''] = process.argv.slice(2)
const coord = await startCoord({
  stateDir,
  database,
  listen: { host: '127.0.0.1', port: 0 },
  prepare: async () => ({ derpMap: { regions: new Map() } }),
  login: operatorLogin,
})
process.stdout.write(`${coord.url}\n`)
// Nobody is to outlive the test that started it.
process.stdin.resume().on('end', () => process.exit())
