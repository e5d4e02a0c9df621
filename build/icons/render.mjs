// Draws icon.svg in every size that packages and the window need: node build/icons/render.mjs
// Run by hand after a change of the drawing; the results are committed, since no build machine needs a browser for them.
// CHROMIUM names another browser.

import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { ROOT } from '../run.mjs'

const HERE = join(ROOT, 'build', 'icons')
/** Names as electron-builder looks for them on Linux; 1024 is the source for macOS. */
const SIZES = [16, 24, 32, 48, 64, 128, 256, 512, 1024]
const WINDOW_SIZE = 256

const browser = await chromium.launch({
  executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu'],
})
try {
  const drawing = readFileSync(join(HERE, 'icon.svg')).toString('base64')
  const page = await browser.newPage()
  /** @type {Map<number, Buffer>} */
  const drawn = new Map()
  for (const size of SIZES) {
    await page.setViewportSize({ width: size, height: size })
    await page.setContent(
      `<body style="margin:0"><img style="display:block" width="${size}" height="${size}" src="data:image/svg+xml;base64,${drawing}"></body>`,
    )
    const png = await page.screenshot({ omitBackground: true })
    drawn.set(size, png)
    writeFileSync(join(HERE, `${size}x${size}.png`), png)
  }
  writeFileSync(join(HERE, 'icon.ico'), ico([16, 24, 32, 48, 64, 256].map((size) => [size, drawn.get(size)])))
  mkdirSync(join(ROOT, 'electron', 'shell', 'assets'), { recursive: true })
  copyFileSync(join(HERE, `${WINDOW_SIZE}x${WINDOW_SIZE}.png`), join(ROOT, 'electron', 'shell', 'assets', 'icon.png'))
} finally {
  await browser.close()
}

/**
 * A Windows icon: a directory of PNG files. Layout: ICONDIR (6 bytes), ICONDIRENTRY (16 each), images.
 * @param {[number, Buffer | undefined][]} images
 */
function ico(images) {
  const header = Buffer.alloc(6 + 16 * images.length)
  header.writeUInt16LE(1, 2)
  header.writeUInt16LE(images.length, 4)
  let offset = header.length
  for (const [index, [size, png = Buffer.alloc(0)]] of images.entries()) {
    const at = 6 + 16 * index
    header.writeUInt8(size % 256, at) // 0 stands for 256
    header.writeUInt8(size % 256, at + 1)
    header.writeUInt16LE(1, at + 4)
    header.writeUInt16LE(32, at + 6)
    header.writeUInt32LE(png.length, at + 8)
    header.writeUInt32LE(offset, at + 12)
    offset += png.length
  }
  return Buffer.concat([header, ...images.map(([, png]) => png ?? Buffer.alloc(0))])
}
