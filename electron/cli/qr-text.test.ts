import assert from 'node:assert/strict'
import { test } from 'node:test'
import { qrCode } from '../base/qr-code.ts'
import { qrText } from './qr-text.ts'

const URL = 'https://net.example.org:8443/register/nodekey-abcdef0123456789'

/** What a camera would see: dark modules, the border included. */
function seen(coloured: readonly string[], colours: boolean): boolean[][] {
  const lines = coloured.map((line) => line.replace('\x1b[38;5;16;48;5;231m', '').replace('\x1b[0m', ''))
  return lines.flatMap((line) => {
    const marks = line.split('')
    return ['▀█', '▄█'].map((drawn) => marks.map((mark) => drawn.includes(mark) === colours))
  })
}

for (const colours of [true, false])
  test(`the code in the terminal is the code, with its border, ${colours ? 'in' : 'without'} colours`, () => {
    const rows = qrCode(URL) ?? []
    const all = seen(qrText(URL, { colours, columns: 80 }), colours)
    const side = rows.length + 8
    assert.ok(all.length === side + 1 && all.every((row) => row.length === side))
    const inner = all.slice(4, 4 + rows.length).map((row) => row.slice(4, 4 + rows.length))
    assert.deepEqual(inner, rows)
    const darkAll = all.slice(0, side).flat().filter(Boolean).length
    assert.equal(darkAll, rows.flat().filter(Boolean).length, 'the border is light')
  })

test('a terminal that is too narrow and an address that is too long are told', () => {
  const side = (qrCode(URL) ?? []).length + 8
  assert.match(qrText(URL, { colours: true, columns: side - 1 })[0] ?? '', new RegExp(`${side} are needed`))
  assert.ok(qrText(URL, { colours: true, columns: side }).length > 10)
  assert.ok(qrText(URL, { colours: true, columns: undefined }).length > 10)
  assert.match(qrText('x'.repeat(300), { colours: true, columns: 80 })[0] ?? '', /too long/)
})
