// Who may import whom: downwards only, never sideways, never up. ARCHITECTURE.md has the picture; this keeps it true.
//
//   node build/import-rule.mjs      fails with file, line, the import and the folders that are allowed there

import { readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { join, posix, relative, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ROOT, fail, say } from './run.mjs'
import { filesUnder } from './stamp.mjs'

/** Any part of electron/ may import these; they import nothing of ours. */
const GROUND = ['base', 'contract']
const CODECS = ['wire', 'crypto', ...GROUND]
const PARTS = ['control', 'path', 'portmap', 'derp', 'relay', 'os', 'dataplane', 'dns']

/** Folder -> the other folders that it may import. @type {Readonly<Record<string, readonly string[]>>} */
export const ALLOWED = {
  base: [],
  contract: [],
  crypto: GROUND,
  wire: ['crypto', ...GROUND],
  control: CODECS,
  path: CODECS,
  portmap: CODECS,
  derp: CODECS,
  relay: CODECS,
  os: CODECS,
  dataplane: CODECS,
  dns: CODECS,
  coord: CODECS,
  agent: [...PARTS, ...CODECS],
  'coord-host': ['coord', 'derp', ...CODECS],
  shell: ['agent', 'coord', 'coord-host', 'derp', 'os', ...GROUND],
  cli: ['agent', 'coord', 'coord-host', 'derp', 'relay', 'os', ...GROUND],
  renderer: ['contract'],
}

/** Read in a window as well as outside: nothing of Node's. */
const IN_WINDOWS = ['contract', 'renderer']

/**
 * @typedef {object} Import
 * @property {string} specifier
 * @property {number} line
 */

const IMPORTS =
  /\b(?:import|export)\b[^'"`]*?\bfrom\s*(['"])([^'"\n]+)\1|\b(?:import|require|resolve)\s*\(?\s*(['"`])([^'"`\n]+)\3/g

/**
 * Every module that a source file names: static, `import type`, re-export, dynamic, require.
 * @param {string} source
 * @returns {Import[]}
 */
export function importsOf(source) {
  // Comment lines keep their length, so that line numbers stay true.
  const code = source.replace(/^\s*(?:\/\/|\/?\*).*$/gm, (comment) => ' '.repeat(comment.length))
  return [...code.matchAll(IMPORTS)].map((match) => ({
    specifier: match[2] ?? match[4] ?? '',
    line: code.slice(0, match.index + match[0].length).split('\n').length,
  }))
}

/** @param {string} path from the root, with slashes: 'electron/wire/disco/ping.ts' -> 'wire' */
function folderOf(path) {
  const [top = '', second = '', third] = path.split('/')
  if (top === 'renderer') return 'renderer'
  return top === 'electron' && third !== undefined ? second : undefined
}

/**
 * What is wrong with one import, in words; undefined when nothing is.
 * @param {string} file from the root, with slashes
 * @param {string} specifier
 * @returns {string | undefined}
 */
export function complaint(file, specifier) {
  const folder = folderOf(file)
  if (folder === undefined) return 'a source file must be in one of the folders of electron/ or in renderer/'
  const allowed = ALLOWED[folder]
  if (!allowed) return `the folder ${folder} has no line in the table of build/import-rule.mjs`
  const isTest = /\.test\.tsx?$/.test(file)

  if (specifier.endsWith('.node')) return folder === 'dataplane' ? undefined : 'only dataplane loads native code'
  if (!specifier.startsWith('.')) {
    if (/^electron(\/|$)/.test(specifier)) return folder === 'shell' ? undefined : "only shell imports 'electron'"
    const isNodes = specifier.startsWith('node:') || builtinModules.includes(specifier)
    if (isNodes && IN_WINDOWS.includes(folder) && !isTest) return `${folder} runs in windows, which have no Node`
    return undefined
  }

  const target = posix.normalize(posix.join(posix.dirname(file), specifier))
  const other = folderOf(target)
  if (other === folder) return undefined
  if (other === undefined) {
    const isOutside = target.startsWith('electron/') || target.startsWith('..')
    if (!isOutside && (isTest || target === 'package.json')) return undefined
    return `nothing there may be imported; ${allowedWords(allowed)}`
  }
  return allowed.includes(other) ? undefined : allowedWords(allowed)
}

/** @param {readonly string[]} allowed */
const allowedWords = (allowed) => (allowed.length > 0 ? `allowed: ${allowed.join(', ')}` : 'it imports nothing of ours')

/**
 * @param {string} root
 * @returns {string[]} one line per breach
 */
export function breaches(root) {
  return ['electron', 'renderer'].flatMap((top) =>
    filesUnder(join(root, top), (path) => /\.(ts|tsx|mts|cts|mjs|cjs|js)$/.test(path)).flatMap((path) => {
      const file = relative(root, path).split(sep).join('/')
      return importsOf(readFileSync(path, 'utf8')).flatMap(({ specifier, line }) => {
        const problem = complaint(file, specifier)
        return problem === undefined ? [] : [`${file}:${line}: imports '${specifier}': ${problem}`]
      })
    }),
  )
}

function main() {
  const found = breaches(ROOT)
  for (const line of found) say(line)
  say(found.length > 0 ? `import rule: ${found.length} breaches` : 'import rule: kept')
  process.exitCode = found.length > 0 ? 1 : 0
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    main()
  } catch (error) {
    fail(error)
  }
}
