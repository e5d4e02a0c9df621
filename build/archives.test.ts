import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { crc32, deflateRawSync } from 'node:zlib'
import { asar } from './asar.mjs'
import { unzip } from './unzip.mjs'

interface Entry {
  name: string
  content: string
  mode?: number
  isStored?: boolean
}

/** A zip file as the common programs write it. */
function zip(entries: readonly Entry[]): Buffer {
  const bodies: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const { name, content, mode = 0o644, isStored = false } of entries) {
    const packed = isStored ? Buffer.from(content) : deflateRawSync(content)
    const common = Buffer.alloc(26)
    common.writeUInt16LE(20, 0)
    common.writeUInt16LE(isStored ? 0 : 8, 4)
    common.writeUInt32LE(crc32(content), 10)
    common.writeUInt32LE(packed.length, 14)
    common.writeUInt32LE(content.length, 18)
    common.writeUInt16LE(name.length, 22)
    bodies.push(Buffer.from('PK\x03\x04'), common, Buffer.from(name), packed)
    const rest = Buffer.alloc(14)
    rest.writeUInt32LE(((0o100000 | mode) << 16) >>> 0, 6)
    rest.writeUInt32LE(offset, 10)
    directory.push(Buffer.from('PK\x01\x02\x14\x03'), common, rest, Buffer.from(name))
    offset += 30 + name.length + packed.length
  }
  const list = Buffer.concat(directory)
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06', 0, 'latin1')
  end.writeUInt16LE(entries.length, 10)
  end.writeUInt32LE(list.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...bodies, list, end])
}

function workFolder(t: TestContext): string {
  const work = mkdtempSync(join(tmpdir(), 'peerway-zip-'))
  t.after(() => rmSync(work, { recursive: true, force: true }))
  return work
}

test('unpacks what is asked for, with its mode, under the name given', (t) => {
  const work = workFolder(t)
  const archive = join(work, 'a.zip')
  const entries = [
    { name: 'App/', content: '', isStored: true },
    { name: 'App/run', content: 'x'.repeat(10_000), mode: 0o755 },
    { name: 'App/sub/note.txt', content: 'short', isStored: true },
    { name: 'App/left/out', content: 'no' },
  ]
  writeFileSync(archive, zip(entries))
  const count = unzip(archive, join(work, 'out'), (name) => (name.includes('left') ? undefined : name.slice(4)))
  assert.equal(count, 2)
  assert.equal(readFileSync(join(work, 'out', 'run'), 'utf8'), 'x'.repeat(10_000))
  assert.equal(statSync(join(work, 'out', 'run')).mode & 0o777, 0o755)
  assert.equal(readFileSync(join(work, 'out', 'sub', 'note.txt'), 'utf8'), 'short')
})

test('refuses entries that point outside, archives cut short, and files that are no archive', (t) => {
  const work = workFolder(t)
  const archive = join(work, 'a.zip')
  const unpack = () => unzip(archive, join(work, 'out'), (name) => name)
  writeFileSync(archive, zip([{ name: '../outside', content: 'no' }]))
  assert.throws(unpack, /points outside/)
  const whole = zip([{ name: 'a', content: 'yes' }])
  writeFileSync(archive, whole.subarray(40))
  assert.throws(unpack, /cut short|damaged|not a zip/)
  writeFileSync(archive, 'hello')
  assert.throws(unpack, /not a zip file/)
})

test('an asar archive holds its files where its header says', () => {
  const files = { 'package.json': Buffer.from('{"main":"é.js"}'), 'é.js': Buffer.from('1') }
  const archive = asar(files)
  const headerBytes = archive.readUInt32LE(4)
  const jsonBytes = archive.readUInt32LE(12)
  const header: { files: Record<string, { size: number; offset: string }> } = JSON.parse(
    archive.toString('utf8', 16, 16 + jsonBytes),
  )
  for (const [name, content] of Object.entries(files)) {
    const entry = header.files[name]
    assert.ok(entry)
    const start = 8 + headerBytes + Number(entry.offset)
    assert.deepEqual(archive.subarray(start, start + entry.size), content)
  }
  assert.equal(headerBytes % 4, 0)
})
