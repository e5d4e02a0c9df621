import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { meteredOf, readMetered } from './metered.ts'

/** Another program's D-Bus library in the place of NetworkManager. Prints a line once it is there. */
const SERVICE = `
import sys, dbus, dbus.service
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib
NAME = 'org.freedesktop.NetworkManager'
DBusGMainLoop(set_as_default=True)
bus = dbus.bus.BusConnection('unix:path=' + sys.argv[1])
class Manager(dbus.service.Object):
    value = 0
    @dbus.service.method('org.freedesktop.DBus.Properties', in_signature='ss', out_signature='v')
    def Get(self, interface, name):
        assert (interface, name) == (NAME, 'Metered')
        return dbus.UInt32(self.value)
manager = Manager(bus, '/org/freedesktop/NetworkManager')
held = dbus.service.BusName(NAME, bus)
def on_line(source, condition):
    manager.value = int(sys.stdin.readline())
    print('set', flush=True)
    return True
GLib.io_add_watch(sys.stdin, GLib.IO_IN, on_line)
print('ready', flush=True)
GLib.MainLoop().run()
`
const CONFIG = (path: string): string => `<busconfig>
  <listen>unix:path=${path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
  </policy>
</busconfig>`
const PYTHON = '/usr/bin/python3'

function busMissing(): string | undefined {
  try {
    execFileSync(PYTHON, ['-c', 'import dbus, gi'], { stdio: 'ignore' })
    execFileSync('dbus-daemon', ['--version'], { stdio: 'ignore' })
    return undefined
  } catch {
    return 'there is no dbus-daemon with Python to test against'
  }
}

function folderFor(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-bus-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function started(t: TestContext, program: string, args: readonly string[]): ChildProcess {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  return child
}

const line = (child: ChildProcess): Promise<string> =>
  new Promise((resolve, reject) => {
    child.stdout?.once('data', (bytes: Buffer) => resolve(bytes.toString().trim()))
    child.once('exit', () => reject(new Error('it ended')))
  })

test("NetworkManager's five answers", () => {
  assert.deepEqual([0, 1, 2, 3, 4, 99, undefined].map(meteredOf), [
    'unknown',
    'yes',
    'no',
    'yes',
    'no',
    'unknown',
    'unknown',
  ])
})

test('asks over a real bus', { skip: busMissing() ?? false, timeout: 20_000 }, async (t) => {
  const folder = folderFor(t)
  const path = join(folder, 'bus')
  writeFileSync(join(folder, 'bus.conf'), CONFIG(path))
  const daemon = started(t, 'dbus-daemon', ['--nofork', '--print-address', `--config-file=${join(folder, 'bus.conf')}`])
  await line(daemon)
  assert.ok(existsSync(path))
  assert.equal(await readMetered(path), 'unknown', 'nobody has the name yet')
  const manager = started(t, PYTHON, ['-c', SERVICE, path])
  assert.equal(await line(manager), 'ready')
  for (const [value, expected] of [
    ['1', 'yes'],
    ['2', 'no'],
    ['3', 'yes'],
    ['0', 'unknown'],
  ] as const) {
    const isSet = line(manager)
    manager.stdin?.write(`${value}\n`)
    await isSet
    assert.equal(await readMetered(path), expected)
  }
})

test('no bus, a silent one, and one that talks nonsense', { timeout: 10_000 }, async (t) => {
  const folder = folderFor(t)
  assert.equal(await readMetered(join(folder, 'none')), 'unknown')
  const answers = [
    '',
    'OK 1234\r\n',
    'OK 1234\r\nl\u0002\u0000\u0001\u00ff\u00ff\u00ff\u007f\u0000\u0000\u0000\u0000\u00ff\u00ff\u00ff\u007f',
    'x'.repeat(300_000),
  ]
  await Promise.all(
    answers.map(async (answer, index) => {
      const path = join(folder, `bus${index}`)
      const server = createServer((socket) => {
        socket.on('error', () => {})
        socket.write(Buffer.from(answer, 'latin1'))
      })
      await new Promise<void>((resolve) => void server.listen(path, resolve))
      assert.equal(await readMetered(path), 'unknown')
      server.close()
    }),
  )
})
