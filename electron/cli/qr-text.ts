// A QR code for a terminal: two rows of modules in a line of half blocks, with the light border that readers need.

import { type Modules, qrCode } from '../base/qr-code.ts'

/** ISO/IEC 18004 §7.3.7. */
const BORDER = 4
/** Black on white of the fixed part of the palette, whatever the terminal's own colours are. */
const [COLOURS, RESET] = ['\x1b[38;5;16;48;5;231m', '\x1b[0m']

export interface QrTextOptions {
  /** Without colours light modules are drawn, as most terminals are dark. */
  readonly colours: boolean
  /** Columns of the terminal; undefined where that is not known. */
  readonly columns: number | undefined
}

/** A sentence instead where it cannot be drawn. */
export function qrText(text: string, { colours, columns }: QrTextOptions): readonly string[] {
  const rows = qrCode(text)
  if (!rows) return ['The address is too long for a QR code.']
  const width = rows.length + 2 * BORDER
  if (columns !== undefined && columns > 0 && columns < width)
    return [`The terminal is too narrow for a QR code: it has ${columns} columns, and ${width} are needed.`]
  const lines: string[] = []
  for (let y = -BORDER; y < rows.length + BORDER; y += 2) {
    let line = ''
    for (let x = -BORDER; x < rows.length + BORDER; x++)
      line += half(isDrawn(rows, y, x, colours), isDrawn(rows, y + 1, x, colours))
    lines.push(colours ? `${COLOURS}${line}${RESET}` : line)
  }
  return lines
}

/** Below the last row nothing is: there are an odd number of them. */
function isDrawn(rows: Modules, y: number, x: number, colours: boolean): boolean {
  const isDark = rows[y]?.[x] === true
  return colours ? isDark : !isDark && y < rows.length + BORDER
}

const half = (upper: boolean, lower: boolean): string => (upper ? (lower ? '█' : '▀') : lower ? '▄' : ' ')
