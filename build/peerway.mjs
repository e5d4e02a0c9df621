#!/usr/bin/env node
// The `peerway` command of a checkout.

import { existsSync } from 'node:fs'
import { checkNode } from './node-version.mjs'

checkNode()
const cli = new URL('../out/cli.mjs', import.meta.url)
if (!existsSync(cli)) {
  process.stderr.write('Peerway is not built yet. Run: npm run setup\n')
  process.exit(1)
}
await import(cli.href)
