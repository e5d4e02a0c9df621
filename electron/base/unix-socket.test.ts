import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { codeOf } from './errors.ts'
import { listenPrivately, whyNobodyListens } from './unix-socket.ts'

test('a socket is its owner’s alone from its first moment, and the process keeps its mask', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'peerway-socket-'))
  const path = join(folder, 'a.sock')
  const mask = process.umask()
  const server = createServer()
  try {
    assert.equal(await whyNobodyListens(path), 'ENOENT')
    const listening = listenPrivately(server, path)
    assert.equal(statSync(path).mode & 0o777, 0o600)
    assert.equal(process.umask(), mask)
    await listening
    assert.equal(await whyNobodyListens(path), undefined)
    await assert.rejects(listenPrivately(createServer(), path), (error) => codeOf(error) === 'EADDRINUSE')
    assert.equal(process.umask(), mask)
  } finally {
    await new Promise((resolve) => server.close(resolve))
    await rm(folder, { recursive: true })
  }
})
