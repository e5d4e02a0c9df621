// For kill.test.ts, which starts it and kills it: 32 writers on one store. Each says a number on stdout once it is on disk.

import { writeSync } from 'node:fs'
import { openStore } from './open-store.ts'
import { FIRST_TAILNET } from './store.ts'

export const WRITERS = 32

async function main(place: string): Promise<void> {
  const store = await openStore(
    place.startsWith('postgres:') ? { kind: 'postgres', url: place } : { kind: 'sqlite', path: place },
  )
  const writer = async (id: number): Promise<void> => {
    for (;;) {
      const n = await store.transaction(async (server) => {
        const tx = server.inTailnet(FIRST_TAILNET)
        const next = Number((await tx.setting(`first-${id}`)) ?? 0) + 1
        await tx.setSetting(`first-${id}`, String(next))
        await tx.audit({ atMs: next, actor: `writer:${id}`, action: 'write', subject: String(next), detail: '' })
        await tx.setTailnetSetting(`second-${id}`, String(next))
        return next
      })
      // Whole lines this short are written at once.
      writeSync(1, `${id} ${n}\n`)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  await Promise.all(Array.from({ length: WRITERS }, (_, id) => writer(id)))
}

if (process.argv[2] !== undefined) await main(process.argv[2])
