import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { FolderLock } from './folder-lock.ts'

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'peerway-lock-'))
  try {
    await work(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

const held = (lock: FolderLock | 'unlocked' | undefined): FolderLock => {
  assert.ok(lock instanceof FolderLock)
  return lock
}

test('a folder is held by one at a time, and free again after that', () =>
  inFolder(async (folder) => {
    const first = held(await FolderLock.take(folder))
    assert.equal(await FolderLock.take(folder), undefined)
    await first.release()
    assert.deepEqual(await readdir(folder), [])
    await held(await FolderLock.take(folder)).release()
  }))

test('a holder that was killed lets go', () =>
  inFolder(async (folder) => {
    const script = `require('node:net').createServer().listen(${JSON.stringify(join(folder, 'lock.sock'))}, () => console.log('held'))`
    const holder = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    await new Promise((resolve) => holder.stdout.once('data', resolve))
    assert.equal(await FolderLock.take(folder), undefined)
    holder.kill('SIGKILL')
    await new Promise((resolve) => holder.once('exit', resolve))
    assert.deepEqual(await readdir(folder), ['lock.sock'])
    await held(await FolderLock.take(folder)).release()
  }))

test('a path too long for a socket is said to be unlocked', async () => {
  assert.equal(await FolderLock.take(`/tmp/${'x'.repeat(120)}`), 'unlocked')
})
