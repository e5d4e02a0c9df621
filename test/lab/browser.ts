// A real browser on a machine of the lab: it reaches what that machine reaches.

import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { chromium, type Browser } from 'playwright-core'
import type { Lab, Machine } from './lab.ts'

const CHROMIUM = process.env['PEERWAY_CHROMIUM'] ?? '/usr/bin/chromium'

export const browserUnavailable = (): string | undefined =>
  existsSync(CHROMIUM) ? undefined : `there is no Chromium at ${CHROMIUM} (package chromium)`

export async function openBrowser(lab: Lab, machine: Machine): Promise<Browser> {
  const inside = join(lab.dir, 'browser')
  writeFileSync(inside, `#!/bin/sh\nexec ${machine.ns.inside([CHROMIUM]).join(' ')} "$@"\n`, { mode: 0o700 })
  // A closed network answers lookups of the browser's own services with refusals, many a second.
  const quiet = ['--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-quic']
  return chromium.launch({
    executablePath: inside,
    env: { ...process.env, TMPDIR: lab.dir },
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run', ...quiet],
  })
}
