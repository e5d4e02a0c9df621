// One question to the system's D-Bus: the value of a number property. No more of that protocol is needed here than its
// greeting, one kind of call and its answer. https://dbus.freedesktop.org/doc/dbus-specification.html

import { connect, type Socket } from 'node:net'

export const SYSTEM_BUS = '/run/dbus/system_bus_socket'
const ASK_WITHIN_MS = 2_000
/** Answers of more are none that we asked for. */
const MOST_ANSWER_BYTES = 64 * 1024
const NUL_AND_AUTH = (uid: number): string => `\0AUTH EXTERNAL ${Buffer.from(String(uid)).toString('hex')}\r\n`

const METHOD_CALL = 1
const METHOD_RETURN = 2
const FIELDS = { path: 1, interface: 2, member: 3, replySerial: 5, destination: 6, signature: 8 } as const

export interface DbusProperty {
  readonly destination: string
  readonly path: string
  readonly interface: string
  readonly name: string
}

/** Undefined when there is no bus, nobody answers there, or the value is no unsigned 32-bit number. */
export async function readDbusNumber(property: DbusProperty, busPath = SYSTEM_BUS): Promise<number | undefined> {
  const socket = connect(busPath)
  const timer = setTimeout(() => socket.destroy(), ASK_WITHIN_MS)
  try {
    return await ask(socket, property)
  } catch {
    return undefined
  } finally {
    clearTimeout(timer)
    socket.destroy()
  }
}

async function ask(socket: Socket, property: DbusProperty): Promise<number | undefined> {
  const reader = new Reader(socket)
  socket.write(NUL_AND_AUTH(process.getuid?.() ?? 0))
  if (!(await reader.line()).startsWith('OK ')) return undefined
  socket.write('BEGIN\r\n')
  const bus = 'org.freedesktop.DBus'
  socket.write(call(1, { destination: bus, path: '/org/freedesktop/DBus', interface: bus, member: 'Hello' }, []))
  socket.write(
    call(
      2,
      {
        destination: property.destination,
        path: property.path,
        interface: 'org.freedesktop.DBus.Properties',
        member: 'Get',
      },
      [property.interface, property.name],
    ),
  )
  // Signals and the answer to the greeting come in between.
  for (;;) {
    const message = await reader.message()
    if (message.replySerial !== 2) continue
    return message.type === METHOD_RETURN ? numberInVariant(message.body, message.isLittle) : undefined
  }
}

interface Target {
  readonly destination: string
  readonly path: string
  readonly interface: string
  readonly member: string
}

/** A method call whose arguments are all strings. Little endian throughout. */
export function call(serial: number, target: Target, args: readonly string[]): Buffer {
  const body = new Writer()
  for (const arg of args) body.text(arg)
  const fields = new Writer()
  const field = (code: number, type: string, value: string): void => {
    fields.align(8)
    fields.byte(code)
    fields.signature(type)
    if (type === 'g') fields.signature(value)
    else fields.text(value)
  }
  field(FIELDS.path, 'o', target.path)
  field(FIELDS.interface, 's', target.interface)
  field(FIELDS.member, 's', target.member)
  field(FIELDS.destination, 's', target.destination)
  if (args.length > 0) field(FIELDS.signature, 'g', 's'.repeat(args.length))
  const head = new Writer()
  for (const byte of [0x6c, METHOD_CALL, 0, 1]) head.byte(byte)
  head.number(body.bytes.length)
  head.number(serial)
  head.number(fields.bytes.length)
  const whole = new Writer([...head.bytes, ...fields.bytes])
  whole.align(8)
  return Buffer.from([...whole.bytes, ...body.bytes])
}

class Writer {
  readonly bytes: number[]

  constructor(bytes: number[] = []) {
    this.bytes = bytes
  }

  align(to: number): void {
    while (this.bytes.length % to !== 0) this.bytes.push(0)
  }

  byte(value: number): void {
    this.bytes.push(value)
  }

  number(value: number): void {
    this.align(4)
    this.bytes.push(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24)
  }

  text(value: string): void {
    const bytes = Buffer.from(value)
    this.number(bytes.length)
    this.bytes.push(...bytes, 0)
  }

  signature(value: string): void {
    const bytes = Buffer.from(value)
    this.bytes.push(bytes.length, ...bytes, 0)
  }
}

interface Message {
  readonly type: number
  readonly replySerial: number | undefined
  readonly isLittle: boolean
  readonly body: Buffer
}

class Reader {
  #waiting = Buffer.alloc(0)
  readonly #chunks: AsyncIterator<unknown>

  constructor(socket: Socket) {
    this.#chunks = socket[Symbol.asyncIterator]()
  }

  async line(): Promise<string> {
    for (;;) {
      const end = this.#waiting.indexOf('\r\n')
      if (end >= 0) {
        const line = this.#waiting.toString('latin1', 0, end)
        this.#waiting = this.#waiting.subarray(end + 2)
        return line
      }
      await this.#more()
    }
  }

  async message(): Promise<Message> {
    const start = await this.#peek(16)
    const isLittle = start[0] === 0x6c
    const numberAt = (bytes: Buffer, offset: number): number =>
      isLittle ? bytes.readUInt32LE(offset) : bytes.readUInt32BE(offset)
    const [bodyBytes, fieldBytes] = [numberAt(start, 4), numberAt(start, 12)]
    const headBytes = Math.ceil((16 + fieldBytes) / 8) * 8
    if (headBytes + bodyBytes > MOST_ANSWER_BYTES) throw new Error('too long')
    const whole = await this.#peek(headBytes + bodyBytes)
    this.#waiting = this.#waiting.subarray(whole.length)
    return {
      type: start[1] ?? 0,
      replySerial: replySerialIn(whole.subarray(0, 16 + fieldBytes), numberAt),
      isLittle,
      body: whole.subarray(headBytes),
    }
  }

  async #peek(bytes: number): Promise<Buffer> {
    while (this.#waiting.length < bytes) await this.#more()
    return this.#waiting.subarray(0, bytes)
  }

  async #more(): Promise<void> {
    const next = await this.#chunks.next()
    if (next.done === true || !Buffer.isBuffer(next.value)) throw new Error('closed')
    this.#waiting = Buffer.concat([this.#waiting, next.value])
    if (this.#waiting.length > 2 * MOST_ANSWER_BYTES) throw new Error('too long')
  }
}

/** Fields are a code, a signature of one letter, and a value: a number, or text of some kind. */
function replySerialIn(head: Buffer, numberAt: (bytes: Buffer, offset: number) => number): number | undefined {
  for (let at = 16; at + 8 <= head.length;) {
    at = Math.ceil(at / 8) * 8
    if (at + 8 > head.length) return undefined
    const [code, letter] = [head[at], String.fromCharCode(head[at + 2] ?? 0)]
    if (head[at + 1] !== 1) return undefined
    if (letter === 'u') {
      if (code === FIELDS.replySerial) return numberAt(head, at + 4)
      at += 8
    } else if (letter === 'g') at += 4 + 1 + (head[at + 4] ?? 0) + 1
    else if (letter === 's' || letter === 'o') at += 4 + 4 + numberAt(head, at + 4) + 1
    else return undefined
  }
  return undefined
}

/** A variant: its signature, then the value. */
function numberInVariant(body: Buffer, isLittle: boolean): number | undefined {
  if (body.length < 8 || body[0] !== 1 || String.fromCharCode(body[1] ?? 0) !== 'u') return undefined
  return isLittle ? body.readUInt32LE(4) : body.readUInt32BE(4)
}
