// Pictures of every state of the window, in both themes: node --import tsx test/e2e/screens.ts [SCENE…]
// They land in test/artefacts/screens/, outside git. CHROMIUM names another browser.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { type Browser, chromium, type Page } from 'playwright-core'
import { type Scene, scenes, type Step } from './fixtures/scenes.ts'
import { NOW_MS } from './fixtures/samples.ts'

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const OUT = join(ROOT, 'test', 'artefacts', 'screens')
/** Served from memory by the browser's own routing: no port is opened. */
const ORIGIN = 'http://window.test'

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html',
  js: 'text/javascript',
  css: 'text/css',
  woff2: 'font/woff2',
}

async function bundlePage(folder: string): Promise<void> {
  await build({
    absWorkingDir: ROOT,
    entryPoints: ['test/e2e/fixtures/page.tsx'],
    outfile: join(folder, 'main.js'),
    bundle: true,
    format: 'esm',
    jsx: 'automatic',
    target: 'es2022',
    loader: { '.woff2': 'file' },
    assetNames: 'assets/[name]-[hash]',
    define: { 'process.env.NODE_ENV': '"production"' },
  })
  writeFileSync(join(folder, 'index.html'), readFileSync(join(ROOT, 'renderer', 'index.html')))
}

async function openScene(browser: Browser, folder: string, name: string, look: Look): Promise<Page> {
  const context = await browser.newContext({
    viewport: { width: look.width, height: look.height },
    deviceScaleFactor: look.scale,
    colorScheme: look.theme,
    forcedColors: look.forcedColors === true ? 'active' : 'none',
    reducedMotion: 'reduce',
    locale: 'en-GB',
  })
  const page = await context.newPage()
  page.on('pageerror', (error) => console.error(`${name}: ${error.message}`))
  page.on('console', (message) => message.type() === 'error' && console.error(`${name}: ${message.text()}`))
  await page.clock.setFixedTime(NOW_MS)
  await page.route(`${ORIGIN}/**`, (route) => {
    const path = new URL(route.request().url()).pathname
    const file = path === '/' ? '/index.html' : path
    if (file === '/favicon.ico') return route.fulfill({ status: 404 })
    return route.fulfill({
      body: readFileSync(join(folder, file)),
      contentType: TYPES[file.split('.').at(-1) ?? ''] ?? 'application/octet-stream',
    })
  })
  await page.goto(`${ORIGIN}/?scene=${name}`)
  await page.evaluate(async () => void (await document.fonts.ready))
  return page
}

interface Look {
  readonly label: string
  readonly width: number
  readonly height: number
  readonly scale: number
  readonly theme: 'light' | 'dark'
  readonly forcedColors?: boolean
}

async function perform(page: Page, step: Step): Promise<void> {
  if ('press' in step) await page.keyboard.press(step.press)
  else if ('choose' in step) await page.getByLabel(step.label, { exact: true }).selectOption(step.choose)
  else if ('fill' in step) await page.getByLabel(step.label).fill(step.fill)
  else
    await page
      .getByRole(step.role ?? 'button', { name: step.click })
      .first()
      .click()
}

async function shoot(browser: Browser, folder: string, name: string, scene: Scene, look: Look): Promise<void> {
  const page = await openScene(browser, folder, name, look)
  try {
    for (const step of scene.steps ?? []) await perform(page, step)
    await page.waitForTimeout(300)
    await page.screenshot({ path: join(OUT, `${name}-${look.label}.png`) })
  } finally {
    await page.context().close()
  }
}

async function main(wanted: readonly string[]): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'peerway-screens-'))
  mkdirSync(OUT, { recursive: true })
  const browser = await chromium.launch({
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update'],
  })
  try {
    await bundlePage(folder)
    const names = wanted.filter((name) => !name.startsWith('--'))
    const chosen = Object.entries(scenes).filter(([name]) => names.length === 0 || names.includes(name))
    const size = { width: 380, height: 640, scale: 2 }
    const looks: readonly Look[] = wanted.includes('--wide')
      ? [{ label: 'wide', width: 1060, height: 680, scale: 1, theme: 'light' }]
      : wanted.includes('--tall')
        ? [
            { ...size, height: 1100, label: 'tall-light', theme: 'light' },
            { ...size, height: 1100, label: 'tall-dark', theme: 'dark' },
          ]
        : wanted.includes('--large')
          ? [{ label: '200', width: 190, height: 320, scale: 4, theme: 'light' }]
          : wanted.includes('--forced')
            ? [{ ...size, label: 'forced', theme: 'dark', forcedColors: true }]
            : [
                { ...size, label: 'light', theme: 'light' },
                { ...size, label: 'dark', theme: 'dark' },
              ]
    for (const [name, scene] of chosen) for (const look of looks) await shoot(browser, folder, name, scene, look)
    console.log(`${chosen.length * looks.length} pictures in ${OUT}`)
  } finally {
    await browser.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

await main(process.argv.slice(2))
